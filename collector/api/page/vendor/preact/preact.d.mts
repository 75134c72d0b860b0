// The types of the published package, for the type check; see tests/pages/tsconfig.json.
export * from "preact";
