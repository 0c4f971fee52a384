/** A client that signs, for a node over plain HTTP at this URL. */
import { type Answer, type AskOptions, askNode } from './node-under-test.ts'

export function plainNode(url: string) {
  return {
    ask: (method: string, target: string, options?: AskOptions): Promise<Answer> =>
      askNode(url, '', method, target, options),
  }
}
