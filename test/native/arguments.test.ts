import { expect } from 'chai';
import { TersorError } from '../../lib/errors';
import { Activation, native } from '../../lib/native';
import { full, Tensor, tidy, zeros } from '../../lib/tensor';
import { expectNoLeaks } from '../tensor/leaks';
import { type Argument, bytesOf, CASES, call, handlesOf, notTensors, queue, released } from './operation-cases';

function codeOf(body: () => void): string {
  try {
    body();
  } catch (error) {
    expect(error).to.be.instanceOf(TersorError);
    return (error as TersorError).code;
  }
  return 'no error';
}

function positions(args: readonly Argument[], wanted: (argument: Argument) => boolean): number[] {
  return args.flatMap((argument, i) => (wanted(argument) ? [i] : []));
}

const isTensor = (argument: Argument) => argument instanceof Tensor;

describe('native operations', () => {
  expectNoLeaks();

  it('are all covered by a case', () => {
    const others = [
      'create',
      'reshape',
      'release',
      'write',
      'read',
      'memory',
      'useErrorClass',
      'run',
      'createCancelToken',
      'cancel',
      'packedElements',
      'lowRankElements',
      'quantizedBytes',
      'int8Bytes',
      'nmBytes',
      'nmInt8Bytes',
      'searchBytes',
      'productSearchBytes',
      'threads',
      'setThreads',
      'kernels',
      'devices',
      'versions',
    ];
    const covered = new Set(CASES.map(({ operation }) => operation));
    expect(Object.keys(native)).to.have.members([...covered, ...others]);
  });

  for (const { operation, args, outputs, anyShape = [], anyColumns = [], anyNumber = [] } of CASES) {
    describe(operation, () => {
      /** Codes of the calls with the argument at one position replaced, by position. */
      function codesWith(wanted: (argument: Argument) => boolean, replacement: (original: Argument) => unknown) {
        return tidy(() => {
          const codes = new Set<string>();
          for (const position of positions(args(), wanted)) {
            const values = args();
            const broken: unknown[] = handlesOf(values);
            const value = replacement(values[position] as Argument);
            broken[position] = value instanceof Tensor ? value.handle : value;
            codes.add(`${position}: ${codeOf(() => call(operation, broken))}`);
          }
          return [...codes];
        });
      }
      const all = (wanted: number[], code: string) => wanted.map((position) => `${position}: ${code}`);
      const tensors = tidy(() => positions(args(), isTensor));
      const numbers = tidy(() => positions(args(), (argument) => typeof argument === 'number'));

      it('gives the same bits at once and as a job', async () => {
        const now = args();
        const queued = args();
        call(operation, handlesOf(now));
        await queue(operation, handlesOf(queued));
        for (const output of outputs) {
          expect(bytesOf(queued[output] as Argument)).to.deep.equal(bytesOf(now[output] as Argument));
        }
        for (const argument of [...now, ...queued].flat()) if (argument instanceof Tensor) argument.dispose();
      });

      it('refuses fewer and more arguments', () => {
        tidy(() => {
          const values = handlesOf(args());
          expect(codeOf(() => call(operation, values.slice(1)))).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
          expect(codeOf(() => call(operation, [...values, 0]))).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
          expect(codeOf(() => call(operation, Array(40).fill(null)))).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
        });
      });

      it('refuses what is no tensor', () => {
        for (const [description, value] of notTensors()) {
          const codes = tidy(() => {
            const seen: string[] = [];
            for (const position of tensors) {
              const broken = handlesOf(args());
              broken[position] = value;
              seen.push(`${position}: ${codeOf(() => call(operation, broken))}`);
            }
            return seen;
          });
          expect(codes, description).to.have.members(all(tensors, 'ERR_TERSOR_INVALID_ARGUMENT'));
          if (value instanceof Tensor) value.dispose();
        }
      });

      it('refuses a released tensor', () => {
        expect(codesWith(isTensor, released)).to.have.members(all(tensors, 'ERR_TERSOR_DISPOSED'));
      });

      it('refuses another dtype', () => {
        // These take i64 somewhere.
        const takes64 = ['fill', 'embeddingBag', 'embeddingBagGradient', 'productBag'].includes(operation);
        const codes = codesWith(isTensor, (original) => {
          const { shape, dtype } = original as Tensor;
          return zeros(shape, dtype === 'i64' ? 'i32' : takes64 ? 'u4' : 'i64');
        });
        expect(codes).to.have.members(all(tensors, 'ERR_TERSOR_DTYPE'));
      });

      it('refuses another rank and another row length', () => {
        const fixed = tensors.filter((position) => !anyShape.includes(position));
        const codesOf = (shapeOf: (shape: readonly number[]) => number[]) =>
          codesWith(isTensor, (original) => zeros(shapeOf((original as Tensor).shape), (original as Tensor).dtype));
        const rank = codesOf((shape) => (shape.length < 4 ? [...shape, 1] : shape.slice(1)));
        expect(rank).to.include.members(all(fixed, 'ERR_TERSOR_SHAPE'));
        const columns = codesOf((shape) => [...shape.slice(0, -1), (shape.at(-1) as number) + 1]);
        const rigid = fixed.filter((position) => !anyColumns.includes(position));
        expect(columns).to.include.members(all(rigid, 'ERR_TERSOR_SHAPE'));
      });

      it('refuses numbers that are none, not finite, or out of every range', () => {
        const isNumber = (argument: Argument) => typeof argument === 'number';
        const strict = numbers.filter((position) => !anyNumber.includes(position));
        for (const wrong of ['1', null, undefined, {}, 1n, true]) {
          expect(codesWith(isNumber, () => wrong)).to.have.members(all(numbers, 'ERR_TERSOR_INVALID_ARGUMENT'));
        }
        for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e300, -1e300]) {
          const codes = codesWith(isNumber, () => wrong).filter(
            (code) => !anyNumber.includes(Number.parseInt(code, 10)),
          );
          expect(codes).to.have.lengthOf(strict.length);
          for (const code of codes) {
            expect(code).to.match(/: ERR_TERSOR_(NOT_FINITE|OUT_OF_RANGE|INVALID_ARGUMENT)$/);
          }
        }
      });

      it('refuses booleans and bigints of another type', () => {
        const isBoolean = (argument: Argument) => typeof argument === 'boolean';
        const isBigint = (argument: Argument) => typeof argument === 'bigint';
        for (const [wanted, wrong] of [
          [isBoolean, 1],
          [isBigint, 1],
        ] as const) {
          const at = tidy(() => positions(args(), wanted));
          expect(codesWith(wanted, () => wrong)).to.have.members(all(at, 'ERR_TERSOR_INVALID_ARGUMENT'));
        }
        const bigints = tidy(() => positions(args(), isBigint));
        for (const wrong of [-1n, 2n ** 64n]) {
          expect(codesWith(isBigint, () => wrong)).to.have.members(all(bigints, 'ERR_TERSOR_OUT_OF_RANGE'));
        }
      });

      it('refuses a released tensor as a job', () => {
        tidy(() => {
          const values = handlesOf(args());
          values[tensors[0] ?? 0] = tensors.length > 0 ? released() : [released()];
          expect(codeOf(() => void queue(operation, values))).to.equal('ERR_TERSOR_DISPOSED');
        });
      });
    });
  }
});

describe('outputs that share memory with inputs', () => {
  const square = () => zeros([3, 3]);

  it('are refused, also through a reshaped view', () => {
    tidy(() => {
      const a = square();
      const b = square();
      const view = a.reshape([3, 3]);
      const calls = [
        () => native.gemm(a.handle, false, b.handle, false, null, 0, null, false, a.handle),
        () => native.gemm(a.handle, false, b.handle, false, null, 0, null, false, view.handle),
        () => native.gemm(a.handle, false, b.handle, false, null, 0, null, true, b.handle),
        () => native.copy(a.handle, view.handle),
        () => native.svd(a.handle, b.handle, zeros([3]).handle, b.handle),
        () => native.magnitudeMask(a.handle, 1, view.handle),
        () => native.sgdStep([a.handle], [view.handle], [], 0.1, 0, 0, false, 0),
        () => native.sgdStep([a.handle, view.handle], [b.handle, b.handle], [], 0.1, 0, 0, false, 0),
        () =>
          native.adamStep([a.handle], [b.handle], [square().handle], [b.handle], 0.1, 0.9, 0.9, 1e-8, 0, false, 1, 0),
        () => native.copyColumns(a.handle, 0, view.handle, 1, 2),
        () => native.crossEntropy(a.handle, zeros([3], 'i32').handle, zeros([1]).handle, view.handle),
      ];
      for (const body of calls) expect(codeOf(body), String(body)).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
    });
  });

  it('are taken where the contract allows working in place', () => {
    tidy(() => {
      const a = square();
      const view = a.reshape([3, 3]);
      native.activate(Activation.relu, a.handle, a.handle);
      native.scale(a.handle, 2, view.handle);
      native.binary(0, a.handle, a.handle, view.handle);
      native.softmax(a.handle, a.handle);
      expect([...a.toArray()].every((value) => Math.abs(Number(value) - 1 / 3) < 1e-6)).to.equal(true);
    });
  });
});

describe('lists of tensors', () => {
  const step = (parameters: unknown, gradients: unknown, velocities: unknown = []) =>
    call('sgdStep', [parameters, gradients, velocities, 0.1, 0, 0, false, 0]);

  it('are refused when they are none, hold anything else, or do not match', () => {
    tidy(() => {
      const x = zeros([2]).handle;
      const y = zeros([2]).handle;
      for (const wrong of [null, undefined, x, 'x', {}, 1]) {
        expect(codeOf(() => step(wrong, [y]))).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
        expect(codeOf(() => step([x], [wrong === x ? null : wrong]))).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
      }
      expect(codeOf(() => step([], []))).to.equal('ERR_TERSOR_SHAPE');
      expect(codeOf(() => step([x], []))).to.equal('ERR_TERSOR_SHAPE');
      expect(codeOf(() => step([x], [zeros([3]).handle]))).to.equal('ERR_TERSOR_SHAPE');
      expect(codeOf(() => step([x], [zeros([2], 'i32').handle]))).to.equal('ERR_TERSOR_DTYPE');
      expect(codeOf(() => step([x], [released()]))).to.equal('ERR_TERSOR_DISPOSED');
      expect(codeOf(() => step([x], [y], [zeros([2]).handle, zeros([2]).handle]))).to.equal('ERR_TERSOR_SHAPE');
    });
  });

  it('are read before their first element is checked', () => {
    tidy(() => {
      const x = zeros([2]);
      const gradients = Object.defineProperty([null], 0, {
        get() {
          x.dispose();
          return zeros([2]).handle;
        },
      });
      expect(codeOf(() => step([x.handle], gradients))).to.equal('ERR_TERSOR_DISPOSED');
    });
  });

  it('may be long, and a tensor in them twice is found', () => {
    tidy(() => {
      const many = (value: number) => Array.from({ length: 200 }, () => full([3], value));
      const [parameters, gradients] = [many(1), many(2)];
      const handles = (list: readonly Tensor[]) => list.map((x) => x.handle);
      native.sgdStep(handles(parameters), handles(gradients), [], 0.25, 0, 0, false, 0);
      for (const x of parameters) expect([...x.toArray()]).to.deep.equal([0.5, 0.5, 0.5]);
      const twice = [...handles(parameters).slice(0, 199), (parameters[7] as Tensor).handle];
      expect(codeOf(() => step(twice, handles(gradients)))).to.equal('ERR_TERSOR_INVALID_ARGUMENT');
    });
  });
});

describe('error messages of native operations', () => {
  it('say what was expected, what came, and at which argument', () => {
    tidy(() => {
      const body = () =>
        native.gemm(
          zeros([32, 784]).handle,
          false,
          zeros([128, 783]).handle,
          true,
          null,
          0,
          null,
          false,
          zeros([32, 128]).handle,
        );
      expect(body).to.throw(TersorError, 'gemm: expected b of shape [?, 784] to match a [32, 784], got [128, 783]');
      expect(() => native.activate(Activation.relu, zeros([2], 'i32').handle, zeros([2]).handle)).to.throw(
        'activate: expected x of dtype f32, got i32',
      );
      expect(() => call('activate', [1, 'a tensor', null])).to.throw(
        'activate: expected x to be a tensor, got "a tensor"',
      );
    });
  });
});
