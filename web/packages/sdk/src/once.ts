/** What is made when it is first needed. */
export function once<T>(make: () => T): () => T {
  let made: T | null = null;
  return () => (made ??= make());
}
