/** An object cannot be read or loaded: says what was found, and where. */
export class ObjectError extends Error {
  override readonly name = "ObjectError";
}
