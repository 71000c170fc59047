import { expect } from 'chai';
import { shiftImages } from '../../lib/data/images';

const options = { height: 3, width: 4, shift: 1, seed: 5, step: 0 };

/** The definition, one pixel at a time. */
function shifted(image: Float32Array, height: number, width: number, dy: number, dx: number): Float32Array {
  return Float32Array.from(image, (_, pixel) => {
    const y = Math.floor(pixel / width) - dy;
    const x = (pixel % width) - dx;
    return y >= 0 && y < height && x >= 0 && x < width ? image[y * width + x]! : 0;
  });
}

describe('shiftImages', () => {
  const image = Float32Array.from({ length: 12 }, (_, i) => i + 1);
  const copies = (n: number) => Float32Array.from({ length: 12 * n }, (_, i) => image[i % 12]!);

  it('moves each image by its own dx and dy of -s..s, all nine of s = 1 equally often, and fills with zeros', () => {
    const n = 9000;
    const out = shiftImages(copies(n), options);
    const counts = new Map<string, number>();
    for (let i = 0; i < n; i++) {
      const got = out.subarray(i * 12, (i + 1) * 12);
      const found = [-1, 0, 1].flatMap((dy) =>
        [-1, 0, 1]
          .filter((dx) => shifted(image, 3, 4, dy, dx).every((value, p) => value === got[p]))
          .map((dx) => `${dy},${dx}`),
      );
      expect(found, `image ${i}: ${got}`).to.have.length(1);
      counts.set(found[0]!, (counts.get(found[0]!) ?? 0) + 1);
    }
    expect(counts.size).to.equal(9);
    // Binomial with p = 1/9: standard deviation 29.8; five of them.
    for (const [shift, count] of counts) expect(count, shift).to.be.closeTo(1000, 150);
  });

  it('moves everything out of a picture that is smaller than the shift', () => {
    const out = shiftImages(new Float32Array(50).fill(1), { ...options, height: 1, width: 1, shift: 3 });
    expect(out.every((value) => value === 0 || value === 1)).to.equal(true);
    expect(out.includes(0)).to.equal(true);
  });

  it('depends on seed and step, and leaves its argument alone', () => {
    const images = copies(64);
    const first = shiftImages(images, options);
    expect(images).to.deep.equal(copies(64));
    expect(shiftImages(images, options)).to.deep.equal(first);
    expect(shiftImages(images, { ...options, step: 1 })).not.to.deep.equal(first);
    expect(shiftImages(images, { ...options, seed: 6 })).not.to.deep.equal(first);
  });

  it('copies with a shift of 0 and takes no images', () => {
    expect(shiftImages(copies(5), { ...options, shift: 0 })).to.deep.equal(copies(5));
    expect(shiftImages(new Float32Array(0), options)).to.have.length(0);
  });

  it('refuses a length that holds no whole number of images, and sizes out of range', () => {
    expect(() => shiftImages(new Float32Array(13), options))
      .to.throw('expected a multiple of 3 x 4 pixels, got 13, at images')
      .with.property('code', 'ERR_TERSOR_SHAPE');
    for (const wrong of [{ height: 0 }, { width: 1.5 }, { shift: -1 }, { shift: Number.NaN }, { step: -1 }]) {
      expect(() => shiftImages(image, { ...options, ...wrong }))
        .to.throw()
        .with.property('code', 'ERR_TERSOR_OUT_OF_RANGE');
    }
  });
});
