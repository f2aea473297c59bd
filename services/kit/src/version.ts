/** The version of Headgate: all services are released together. The root package.json says the same. */
export const VERSION = "0.1.0";
