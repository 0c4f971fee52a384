/** The headers that a reply gets before it is written, as fastify sets and asks for them. */
export class ReplyHeaders {
  /** Names are in lower case. */
  protected readonly headers: Record<string, string | number> = {}

  setHeader(name: string, value: string | number): this {
    this.headers[name.toLowerCase()] = value
    return this
  }

  getHeader(name: string): string | number | undefined {
    return this.headers[name.toLowerCase()]
  }

  hasHeader(name: string): boolean {
    return name.toLowerCase() in this.headers
  }

  removeHeader(name: string): void {
    delete this.headers[name.toLowerCase()]
  }
}
