/** Stable codes of {@link TersorError}; a code never changes its meaning between versions. */
export type ErrorCode =
  | 'ERR_TERSOR_INVALID_ARGUMENT' // wrong type or value of an argument or option
  | 'ERR_TERSOR_SHAPE' // shapes that do not fit
  | 'ERR_TERSOR_DTYPE' // element type that the operation does not take
  | 'ERR_TERSOR_OUT_OF_RANGE' // an index, id or count outside its range
  | 'ERR_TERSOR_NOT_FINITE' // NaN or Inf where a finite number is needed
  | 'ERR_TERSOR_DISPOSED' // a tensor used after dispose()
  | 'ERR_TERSOR_OUT_OF_MEMORY'
  | 'ERR_TERSOR_CANCELLED' // only inside the native layer; callers see signal.reason
  | 'ERR_TERSOR_UNSUPPORTED' // the device or representation lacks the operation
  | 'ERR_TERSOR_DEVICE' // device unknown or not available
  | 'ERR_TERSOR_ADDON' // the native addon could not be loaded
  | 'ERR_TERSOR_CORRUPT_FILE' // a file whose bytes contradict its format
  | 'ERR_TERSOR_IO' // the operating system refused to read or write
  | 'ERR_TERSOR_RECIPE' // a recipe that does not follow the schema, or cannot be applied to this model
  | 'ERR_TERSOR_DATA' // a data set that cannot be used
  | 'ERR_TERSOR_INTERNAL'; // a bug in Tersor

/**
 * Every error that Tersor throws on purpose. The message reads "expected …, got …, at …".
 *
 * @example
 * try { tersor.tensor([1, 2], [3]) } catch (error) { if (error.code === 'ERR_TERSOR_SHAPE') console.log(error.message) }
 */
export class TersorError extends Error {
  override readonly name = 'TersorError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
