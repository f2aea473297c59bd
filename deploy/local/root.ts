/** Where this checkout is. */
import { join } from "node:path";

/** The root folder of the project, absolute. */
export const ROOT = join(import.meta.dirname, "..", "..");
