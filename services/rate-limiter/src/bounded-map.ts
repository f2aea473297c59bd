/** A map with bounds: what was set longest ago goes first. */

/** A map by text. `get` does not count as use. */
export type BoundedMap<T> = {
  get(key: string): T | undefined;
  set(key: string, value: T): void;
  delete(key: string): void;
  /** Entries held. */
  size(): number;
};

/** Makes a map of at most `sizeMax` entries whose weights add up to at most `weightMax`. */
export function createBoundedMap<T>({
  sizeMax = Number.POSITIVE_INFINITY,
  weigh = () => 0,
  weightMax = Number.POSITIVE_INFINITY,
}: {
  sizeMax?: number;
  weigh?: (value: T) => number;
  weightMax?: number;
}): BoundedMap<T> {
  const entries = new Map<string, T>(); // in the order they were set
  let weight = 0;
  return { get: (key) => entries.get(key), set, delete: remove, size: () => entries.size };

  function set(key: string, value: T): void {
    remove(key);
    entries.set(key, value);
    weight += weigh(value);
    for (const oldest of entries.keys()) {
      if (entries.size <= sizeMax && weight <= weightMax) break;
      remove(oldest);
    }
  }

  function remove(key: string): void {
    const value = entries.get(key);
    if (value === undefined) return;
    entries.delete(key);
    weight -= weigh(value);
  }
}
