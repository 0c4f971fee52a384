import { render } from 'preact'
import { Page } from './page.tsx'
import { followAddress } from './state/route.ts'

const root = document.getElementById('page')
if (root !== null) {
  followAddress()
  render(<Page />, root)
}
