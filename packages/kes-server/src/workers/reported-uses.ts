/** Last uses as a worker keeps them: those in itself are told to the supervisor. */
import { type KeyId, type KeyUse, LastUses } from '../keyring/last-uses.ts'

export class ReportedUses extends LastUses {
  readonly #news = new Map<KeyId, number>()

  override add(uses: Iterable<KeyUse>): KeyUse[] {
    const news = super.add(uses)
    for (const [keyId, usedMs] of news) this.#news.set(keyId, usedMs)
    return news
  }

  override forget(keyId: KeyId): void {
    super.forget(keyId)
    this.#news.delete(keyId)
  }

  /** Of other processes. */
  learn(uses: Iterable<KeyUse>): void {
    super.add(uses)
  }

  /** Those of this process since the last call. */
  takeNews(): KeyUse[] {
    const news = [...this.#news]
    this.#news.clear()
    return news
  }
}
