import { expect } from 'chai';
import { TersorError } from '../../lib/errors';
import { devices, kernels, setThreads, threads, zeros } from '../../lib/tensor';

describe('devices', () => {
  it('list the CPU as available and say why others are not', () => {
    const list = devices();
    const cpu = list.find(({ name }) => name === 'cpu');
    expect(cpu).to.include({ available: true, reason: '', threads: threads() });
    expect(cpu?.description).to.not.equal('');
    for (const { available, reason } of list) expect(available).to.equal(reason === '');
  });

  it("are chosen by name: 'auto' takes what is there, a missing one throws its reason", () => {
    using x = zeros([1], 'f32', 'auto');
    const [best] = devices().filter(({ available, name }) => available && name !== 'cpu');
    expect(x.device).to.equal(best?.name ?? 'cpu');
    for (const { name, reason } of devices().filter(({ available }) => !available)) {
      expect(() => zeros([1], 'f32', name))
        .to.throw(TersorError, reason)
        .with.property('code', 'ERR_TERSOR_DEVICE');
    }
    expect(() => zeros([1], 'f32', 'tpu'))
      .to.throw(TersorError, /expected one of the devices .*"cpu".*, got "tpu"/)
      .with.property('code', 'ERR_TERSOR_DEVICE');
  });
});

describe('kernels', () => {
  it('has exactly one in use for every operation, and a reason for each of the others', () => {
    const list = kernels();
    const operations = new Set(list.map(({ operation }) => operation));
    expect(operations).to.include.members(['gemm']);
    for (const operation of operations) {
      const chosen = list.filter((kernel) => kernel.operation === operation && kernel.selected);
      expect(chosen, operation).to.have.lengthOf(1);
    }
    for (const { selected, reason, name } of list) expect(selected, name).to.equal(reason === '');
  });
});

describe('threads', () => {
  it('can be set within bounds', () => {
    const before = threads();
    setThreads(3);
    expect(threads()).to.equal(3);
    setThreads(before);
    for (const wrong of [0, -1, 1025, 1e9]) {
      expect(() => setThreads(wrong))
        .to.throw(TersorError)
        .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    }
    for (const wrong of [1.5, Number.NaN]) {
      expect(() => setThreads(wrong))
        .to.throw(TersorError)
        .with.property('code', 'ERR_TERSOR_INVALID_ARGUMENT');
    }
    expect(threads()).to.equal(before);
  });
});
