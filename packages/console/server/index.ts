/** The listener of the console: serves the page, lets it log in, and passes on what it asks. */
export { type ConsoleOptions, type ConsoleServer, startConsole } from './console.ts'
export type { AuditedRequest, Caller, KeyServer, KeyServerInfo, Membership } from './key-server.ts'
export type { NodeAccess } from './node/node-client.ts'
