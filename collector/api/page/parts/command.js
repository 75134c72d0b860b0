// What the commands that a reader copies have in common.

/** @typedef {{ingest_port: number, otlp_grpc_port: number, needs_token: boolean, has_tls: boolean, adapters: string[]}} Doors */

/** The header that sending needs, for curl; the token itself stays with the reader. @param {Doors | null} doors */
export function tokenHeader(doors) {
  return doors && doors.needs_token ? ' -H "Authorization: Bearer $HOPLINE_INGEST_TOKEN"' : "";
}

/**
 * The address that spans and records are sent to, "" where this process takes none.
 * @param {Doors} doors
 */
export function ingestAddress(doors) {
  return doors.ingest_port ? `${doors.has_tls ? "https" : "http"}:` + `//${hostName()}:${doors.ingest_port}` : "";
}

/** The host that the reader's browser found, as addresses have it. */
export function hostName() {
  const host = location.hostname || "127.0.0.1";
  return host.includes(":") ? `[${host.replace(/[[\]]/g, "")}]` : host;
}
