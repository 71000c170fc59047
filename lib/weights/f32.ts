/** Range of the normal numbers of f32. */
export const SMALLEST_NORMAL = 2 ** -126;
export const LARGEST = 2 ** 128 - 2 ** 104;
