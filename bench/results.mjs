/** The shape of what a run gives, as `--json` writes it; docs/performance.md explains the fields. */

/**
 * @typedef {object} Environment
 * @property {string} date ISO 8601
 * @property {string} tersor
 * @property {string} node
 * @property {string} platform
 * @property {string} arch
 * @property {string} cpu
 * @property {number} cores
 * @property {string} isa instruction set that our kernels use
 * @property {string | null} compiler that of tersor-bench; null when it was not run
 * @property {string | null} peer name and version; null without one
 * @property {boolean} quick
 */

/**
 * @typedef {object} Limits all of these threads together
 * @property {number} threads
 * @property {Record<string, number>} f32Gflops by instruction set
 * @property {Record<string, number>} bf16Gflops of units for bf16, by instruction set
 * @property {Record<string, number>} int8Gops by instruction set
 * @property {{ bytes: number, gigabytesPerSecond: number }[]} memory by size of the buffer
 * @property {{ bytes: number, millionsPerSecond: number }[]} randomRows by length of the row
 */

/**
 * @typedef {object} Result
 * @property {string} kernel
 * @property {string} shape
 * @property {number} threads
 * @property {number | null} oursUs null when there was no time to measure
 * @property {string | null} peer
 * @property {number | null} peerUs
 * @property {number | null} ratio peer's time / ours; null without a peer, and on a busy machine
 * @property {number | null} shareOfLimit null where no limit applies, and on a busy machine
 * @property {number | null} target bound of the field `measure`
 * @property {import('./rows.mjs').Measure} measure
 * @property {'arithmetic' | 'memory' | 'random rows' | null} limit the one that `shareOfLimit` is of
 * @property {string | null} note why something is null
 */

/** @typedef {{ environment: Environment, limits: Limits[], rows: Result[] }} Results */

/**
 * Whether a row reaches its target; undefined when it has none or could not be judged.
 *
 * @param {Result} row
 */
export function reachesTarget({ target, measure, note, ...fields }) {
  const value = fields[measure];
  if (target === null || value === null || note?.startsWith('busy')) return undefined;
  return measure === 'oursUs' ? value <= target : value >= target;
}
