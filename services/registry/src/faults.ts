/** Gathers every fault of a request before it is refused, so that the sender can mend all at once. */
import { AppError, type Fault } from "@headgate/kit/errors";
import { isUuid } from "@headgate/kit/ids";
import { countCodePoints, hasInvalidCharacters } from "@headgate/kit/json";

/** A list of faults that grows. Pointers are JSON pointers in the native API's words ("/target/channel_id"). */
export type Faults = {
  add(pointer: string, detail: string): void;
  /** Adds a fault unless `isGood`; answers `isGood`. */
  check(isGood: boolean, pointer: string, detail: string): boolean;
  /** A text of `min` to `max` code points without U+0000. */
  text(pointer: string, value: string, bounds: { min: number; max: number }): boolean;
  /** Empty, or an absolute http or https URL of at most 1,024 code points. */
  link(pointer: string, value: string): boolean;
  /** Empty, or a UUID in lower case. */
  id(pointer: string, value: string): boolean;
  /** @throws AppError invalid_argument `fields_invalid` with all faults, when there is one */
  throwAny(): void;
};

/** An empty list. */
export function createFaults(): Faults {
  const list: Fault[] = [];
  return { add, check, text, link, id, throwAny };

  function add(pointer: string, detail: string): void {
    list.push({ pointer, detail });
  }

  function check(isGood: boolean, pointer: string, detail: string): boolean {
    if (!isGood) add(pointer, detail);
    return isGood;
  }

  function text(pointer: string, value: string, { min, max }: { min: number; max: number }) {
    if (hasInvalidCharacters(value)) return check(false, pointer, "must not hold U+0000");
    const count = countCodePoints(value);
    const size = min === 0 ? `at most ${max}` : `${min} to ${max}`;
    return check(count >= min && count <= max, pointer, `must have ${size} characters`);
  }

  function link(pointer: string, value: string): boolean {
    if (value === "") return true;
    const protocol = URL.canParse(value) ? new URL(value).protocol : "";
    const isWeb = protocol === "http:" || protocol === "https:";
    if (!check(isWeb, pointer, "must be an absolute http or https URL")) return false;
    return text(pointer, value, { min: 1, max: 1_024 });
  }

  function id(pointer: string, value: string): boolean {
    return check(value === "" || isUuid(value), pointer, "must be a UUID in lower case");
  }

  function throwAny(): void {
    if (list.length === 0) return;
    throw new AppError("invalid_argument", "fields_invalid", "Some fields are not valid.", {
      faults: list,
    });
  }
}
