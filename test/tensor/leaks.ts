import { expect } from 'chai';
import { type MemoryUse, memory } from '../../lib/tensor';

/**
 * Makes every test of the enclosing block fail when it leaves tensors behind; returns the use before the running test.
 * Fewer than before is fine: the garbage collector may find what other tests forgot.
 */
export function expectNoLeaks(): () => MemoryUse {
  let before: MemoryUse;
  beforeEach(() => {
    before = memory();
  });
  afterEach(() => {
    const after = memory();
    expect(after.tensors, 'tensors left').to.be.at.most(before.tensors);
    expect(after.buffers, 'buffers left').to.be.at.most(before.buffers);
    expect(after.bytes, 'bytes left').to.be.at.most(before.bytes);
  });
  return () => before;
}
