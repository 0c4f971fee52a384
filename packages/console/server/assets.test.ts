import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Assets } from './assets.ts'

let folder: string
let page: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-assets-'))
  page = join(folder, 'dist/')
  mkdirSync(join(page, 'assets'), { recursive: true })
  writeFileSync(join(folder, 'secret.txt'), 'secret')
  writeFileSync(join(page, 'assets', 'app-1a2b.js'), 'let a = 1')
})
afterEach(() => rmSync(folder, { recursive: true }))

test('a page is there once it is built, without a restart', () => {
  const assets = new Assets(page)
  expect([assets.isBuilt, assets.find('/')]).toEqual([false, undefined])
  writeFileSync(join(page, 'index.html'), '<!doctype html>')
  expect(assets.find('/')).toMatchObject({ type: 'text/html; charset=utf-8', isHashed: false })
  expect(assets.isBuilt).toBe(true)
})

test('a page that is built again takes the place of the one before', () => {
  writeFileSync(join(page, 'index.html'), 'before')
  const assets = new Assets(page)
  expect(assets.find('/')?.content.toString()).toBe('before')
  writeFileSync(join(page, 'index.html'), 'after')
  utimesSync(join(page, 'index.html'), 1, 1)
  rmSync(join(page, 'assets', 'app-1a2b.js'))
  writeFileSync(join(page, 'assets', 'app-3c4d.js'), 'let b = 1')
  expect(assets.find('/')?.content.toString()).toBe('after')
  expect(assets.find('/assets/app-1a2b.js')).toBeUndefined()
  expect(assets.find('/assets/app-3c4d.js')).toBeDefined()
})

test('files are found under their names, and may be kept where the name is that of the content', () => {
  writeFileSync(join(page, 'index.html'), '<!doctype html>')
  const asset = new Assets(page).find('/assets/app-1a2b.js')
  expect(asset).toMatchObject({ type: 'text/javascript; charset=utf-8', isHashed: true })
  expect(gunzipSync(asset?.gzipped ?? '').toString()).toBe('let a = 1')
})

test.each([
  '/../secret.txt',
  '/assets/../../secret.txt',
  '/%2e%2e/secret.txt',
  '/assets/%2e%2e%2f%2e%2e%2fsecret.txt',
  '/..\\secret.txt',
  '//secret.txt',
  '/assets/',
  '/assets',
  '',
  '/index.html\0.js',
  '/link.txt',
])('no path leads out of the folder: %j', (path) => {
  writeFileSync(join(page, 'index.html'), '<!doctype html>')
  symlinkSync(join(folder, 'secret.txt'), join(page, 'link.txt'))
  expect(new Assets(page).find(path)).toBeUndefined()
})
