/** The login, or the console of the session that it began. */
import { useState } from 'preact/hooks'
import { logIn } from './net/login.ts'
import { Session } from './net/session.ts'
import { Console, ConsoleContext } from './state/console.ts'
import { notices } from './state/notices.ts'
import { LoginView } from './views/login-view.tsx'
import { Notices } from './views/notices.tsx'
import { Shell } from './views/shell.tsx'

export function Page() {
  const [current, setCurrent] = useState<Console>()
  const [reason, setReason] = useState<string>()

  const begin = async (apiKey: string) => {
    const session = new Session(await logIn(apiKey, location.origin), (why) => {
      setReason(why)
      setCurrent(undefined)
    })
    // Those of the session before are nobody else's.
    notices.value = []
    const next = new Console(session)
    next.start()
    setReason(undefined)
    setCurrent(next)
  }

  return (
    <>
      {current === undefined ? (
        <LoginView reason={reason} onLogin={begin} />
      ) : (
        <ConsoleContext.Provider value={current}>
          <Shell />
        </ConsoleContext.Provider>
      )}
      <Notices />
    </>
  )
}
