/**
 * ONNX models of a few nodes, as bytes: what the peer is asked to run. Only the fields that these need; their numbers are
 * those of onnx.proto3 (IR version 10).
 */

/** Element types of `TensorProto`. */
const TYPES = { f32: 1, u8: 2, i8: 3 };

/** @typedef {keyof typeof TYPES} Type */
/** @typedef {{ name: string, type: Type, shape: readonly number[] }} Value */
/** @typedef {Value & { data: ArrayBufferView }} Constant */

/**
 * @typedef {object} Node
 * @property {string} type
 * @property {readonly string[]} inputs '' for one that is left out
 * @property {readonly string[]} outputs
 * @property {string} [domain]
 * @property {Readonly<Record<string, number>>} [integers] attributes
 */

/**
 * @param {{ nodes: readonly Node[], constants: readonly Constant[], input: Value, output: Value }} graph
 * @returns {Uint8Array}
 */
export function modelBytes({ nodes, constants, input, output }) {
  const graph = [
    ...nodes.map((node) => message(1, nodeFields(node))),
    text(2, 'graph'),
    ...constants.map((constant) => message(5, constantFields(constant))),
    message(11, valueFields(input)),
    message(12, valueFields(output)),
  ];
  const opset = (/** @type {string} */ domain, /** @type {number} */ version) =>
    message(8, [text(1, domain), integer(2, version)]);
  return Buffer.concat([integer(1, 10), message(7, graph), opset('', 21), opset('com.microsoft', 1)]);
}

/** @param {Node} node */
function nodeFields({ type, inputs, outputs, domain = '', integers = {} }) {
  const INT = 2;
  return [
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, type),
    ...Object.entries(integers).map(([name, value]) =>
      message(5, [text(1, name), integer(3, value), integer(20, INT)]),
    ),
    text(7, domain),
  ];
}

/** @param {Constant} constant */
function constantFields({ name, type, shape, data }) {
  const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return [...shape.map((extent) => integer(1, extent)), integer(2, TYPES[type]), text(8, name), bytes(9, raw)];
}

/** @param {Value} value */
function valueFields({ name, type, shape }) {
  const dimensions = shape.map((extent) => message(1, [integer(1, extent)]));
  return [text(1, name), message(2, [message(1, [integer(1, TYPES[type]), message(2, dimensions)])])];
}

// --- protocol buffers: a field is its number and wire type, then its value ------------------------------------------------

const VARINT = 0;
const LENGTH = 2;

/** @param {number} value at least 0 */
function varint(value) {
  const out = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128);
  return Buffer.from([...out, rest]);
}

/** @type {(field: number, value: number) => Buffer} */
const integer = (field, value) => Buffer.concat([varint(field * 8 + VARINT), varint(value)]);

/** @type {(field: number, value: Uint8Array) => Buffer} */
const bytes = (field, value) => Buffer.concat([varint(field * 8 + LENGTH), varint(value.length), value]);

/** @type {(field: number, value: string) => Buffer} */
const text = (field, value) => bytes(field, Buffer.from(value));

/** @type {(field: number, fields: readonly Buffer[]) => Buffer} */
const message = (field, fields) => bytes(field, Buffer.concat(fields));
