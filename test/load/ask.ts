/** Calls of the native API that the load and fault runs make. */
import type { System } from "@headgate/local/system";

/** Asks the native API as the demo's administrator. @throws Error for any answer but 2xx */
export type Ask = (method: string, path: string, body?: object) => Promise<Record<string, unknown>>;

/** Over a running system. */
export function createAsk(system: System): Ask {
  return async (method, path, body) => {
    const response = await fetch(`${system.url}/api/headgate/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${system.demo.admin.token}`,
        "content-type": "application/json",
      },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? {} : JSON.parse(text);
  };
}
