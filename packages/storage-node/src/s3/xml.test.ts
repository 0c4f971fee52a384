import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { S3Error } from './errors.ts'
import { childrenOf, element, rawTextOf, readXml, root, textOf, writeXml } from './xml.ts'

function messageOf(body: () => unknown): string | undefined {
  try {
    body()
  } catch (error) {
    if (error instanceof S3Error && error.code === 'MalformedXML') return error.message
    throw error
  }
  return undefined
}

test('elements are written in their order, with text escaped as Go does', () => {
  const xml = writeXml(
    root('List', [element('Key', `a<b>&"'`), undefined, element('Size', 5), element('None')]),
  )
  expect(xml).toBe(
    '<?xml version="1.0" encoding="UTF-8"?>\n<List xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Key>a&lt;b&gt;&amp;&#34;&#39;</Key><Size>5</Size><None></None></List>',
  )
})

test('any text is read back as it was written; what XML has no character for is U+FFFD', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 50 }), (text) => {
      const document = readXml(Buffer.from(writeXml(element('R', [element('K', text)]))), 'R')
      const expected = Array.from(text.toWellFormed(), (character) => {
        const code = character.codePointAt(0) ?? 0
        const isBad = (code < 0x20 && ![9, 10, 13].includes(code)) || code === 0xfffe || code === 0xffff
        return isBad ? '\ufffd' : character
      }).join('')
      expect(rawTextOf(document, 'K') ?? '').toBe(expected)
    }),
  )
})

describe('documents', () => {
  test('may have a namespace, a prolog, and elements in any number', () => {
    const document = readXml(
      Buffer.from('<?xml version="1.0"?><s:D xmlns:s="urn:x"><s:O><s:K> a </s:K></s:O><s:O/></s:D>'),
      'D',
    )
    expect(childrenOf(document, 'O')).toHaveLength(2)
    expect(textOf(childrenOf(document, 'O')[0] ?? '', 'K')).toBe('a')
    expect(childrenOf(document, 'P')).toEqual([])
  })

  test.each(['', 'garbage', '<D>', '<D></E>', '<D/><D/>', '<!DOCTYPE D [<!ENTITY a "b">]><D>&a;</D>'])(
    '%j is refused',
    (text) => {
      expect(messageOf(() => readXml(Buffer.from(text), 'D'))).toMatch(
        /^The XML you provided was not well-formed/,
      )
    },
  )

  test('of another name are refused', () => {
    expect(messageOf(() => readXml(Buffer.from('<E/>'), 'D'))).toContain(
      'expected element type <D> but have <E>',
    )
  })
})
