/** The signs beside words; they say nothing that the words don't. */

const PATHS = {
  key: 'M8 15a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm4-4h9m-3 0v4m-3-4v3',
  box: 'M4 8l8-4 8 4v8l-8 4-8-4V8Zm0 0l8 4 8-4m-8 4v8',
  pulse: 'M3 12h4l3-8 4 16 3-8h4',
  people:
    'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Zm-6 9a6 6 0 0 1 12 0m1-9.5a3 3 0 1 0-1-5.8M17 14.5a5 5 0 0 1 4 5.5',
  lock: 'M6 11h12v9H6v-9Zm2.5 0V7.5a3.5 3.5 0 0 1 7 0V11',
  open: 'M6 11h12v9H6v-9Zm2.5 0V7.5a3.5 3.5 0 0 1 6.8-1.2',
  clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Zm0-14v5l3 2',
  gone: 'M5 7h14M10 7V4h4v3m-7 0l1 13h8l1-13m-7 4v5m4-5v5',
  warning: 'M12 4l9 16H3l9-16Zm0 6v4m0 3v.2',
  plus: 'M12 5v14M5 12h14',
  up: 'M12 19V6m-6 6l6-6 6 6',
  down: 'M12 5v13m-6-6l6 6 6-6',
  import: 'M12 4v10m-4-4l4 4 4-4M4 18v2h16v-2',
  back: 'M19 12H5m6-6l-6 6 6 6',
  close: 'M6 6l12 12M18 6L6 18',
  pause: 'M8 5v14m8-14v14',
  play: 'M7 5l12 7-12 7V5Z',
  refresh: 'M20 12a8 8 0 1 1-2.3-5.7L20 8.5M20 4v4.5h-4.5',
  out: 'M10 4H5v16h5m4-4l4-4-4-4m4 4H9',
  folder: 'M3 6h6l2 2h10v11H3V6Z',
  check: 'M5 12.5l4.5 4.5L19 7.5',
} as const

export type IconName = keyof typeof PATHS

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  )
}
