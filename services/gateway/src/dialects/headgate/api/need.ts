/** Reads answers of rpcs whose messages say "optional" where the contract says "there". */
import { AppError } from "@headgate/kit/errors";

/** The thing an rpc promised. @throws AppError internal `answer_incomplete` */
export function need<T>(thing: T | undefined): T {
  if (thing !== undefined) return thing;
  throw new AppError("internal", "answer_incomplete", "Something went wrong on our side.");
}
