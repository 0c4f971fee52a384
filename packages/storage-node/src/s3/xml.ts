/** XML as S3 speaks it: documents of nested elements with text, no attributes but the namespace. */
import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { S3Error } from './errors.ts'

export const S3_NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/'

/** Text, or elements in their order; undefined children are left out. */
export type XmlChildren = string | number | boolean | readonly (XmlElement | undefined)[]

export interface XmlElement {
  readonly name: string
  readonly children: XmlChildren
  readonly namespace?: string
}

export function element(name: string, children: XmlChildren = []): XmlElement {
  return { name, children }
}

/** The outermost element of a reply. */
export function root(name: string, children: XmlChildren): XmlElement {
  return { name, children, namespace: S3_NAMESPACE }
}

const PROLOG = '<?xml version="1.0" encoding="UTF-8"?>\n'

export function writeXml(element: XmlElement, { prolog = true } = {}): string {
  return `${prolog ? PROLOG : ''}${write(element)}`
}

function write({ name, children, namespace }: XmlElement): string {
  const attribute = namespace === undefined ? '' : ` xmlns="${namespace}"`
  const inner =
    typeof children === 'object'
      ? children.map((child) => (child === undefined ? '' : write(child))).join('')
      : escapeXml(String(children))
  return `<${name}${attribute}>${inner}</${name}>`
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
  '\t': '&#x9;',
  '\n': '&#xA;',
  '\r': '&#xD;',
}

/** What XML 1.0 has no character for becomes U+FFFD; clients that need such keys ask for `encoding-type=url`. */
export function escapeXml(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text.replace(/[&<>"']/g, escaped)
  return Array.from(text.toWellFormed(), (character) =>
    isXmlCharacter(character) ? escaped(character) : '\ufffd',
  ).join('')
}

function escaped(character: string): string {
  return ESCAPES[character] ?? character
}

/** @see https://www.w3.org/TR/xml/#charsets */
function isXmlCharacter(character: string): boolean {
  const code = character.codePointAt(0) ?? 0
  return (code >= 0x20 && code !== 0xfffe && code !== 0xffff) || code === 0x9 || code === 0xa || code === 0xd
}

/** What a document says: an element's text, or its children by name; a name that occurs often has an array. */
export type XmlNode = string | { readonly [name: string]: XmlNode | readonly XmlNode[] }

const parser = new XMLParser({
  ignoreAttributes: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  removeNSPrefix: true,
  parseTagValue: false,
  trimValues: false,
  processEntities: true,
  // For references by number: Go writes an apostrophe as one.
  htmlEntities: true,
})

/**
 * Reads a request's document.
 *
 * @param rootName - the name that the outermost element must have.
 * @throws S3Error 400 MalformedXML: no XML, another root, or a document type (which S3 never has, and entities need).
 */
export function readXml(bytes: Buffer, rootName: string): XmlNode {
  const text = bytes.toString('utf8')
  if (text.trim() === '') throw malformedXml('EOF')
  if (text.includes('<!DOCTYPE') || XMLValidator.validate(text) !== true) throw malformedXml('EOF')
  const document: unknown = parser.parse(text)
  if (!isNode(document) || typeof document === 'string') throw malformedXml('EOF')
  const found = document[rootName]
  if (found === undefined || isMany(found)) {
    throw malformedXml(`expected element type <${rootName}> but have <${Object.keys(document)[0] ?? ''}>`)
  }
  return found
}

/** @param detail - what is wrong, in parentheses behind the fixed text, as MinIO has it. */
export function malformedXml(detail?: string): S3Error {
  return S3Error.of('MalformedXML', detail === undefined ? {} : { detail })
}

/** All children of this name. */
export function childrenOf(node: XmlNode, name: string): readonly XmlNode[] {
  if (typeof node === 'string') return []
  const found = node[name]
  if (found === undefined) return []
  return isMany(found) ? found : [found]
}

/** The text of the first child of this name, without space around it. */
export function textOf(node: XmlNode, name: string): string | undefined {
  const raw = rawTextOf(node, name)
  return raw?.trim()
}

/** The text of the first child of this name as it stands; empty if it has children of its own. */
export function rawTextOf(node: XmlNode, name: string): string | undefined {
  const [child] = childrenOf(node, name)
  if (child === undefined) return undefined
  return typeof child === 'string' ? child : ''
}

function isMany(value: XmlNode | readonly XmlNode[]): value is readonly XmlNode[] {
  return Array.isArray(value)
}

function isNode(value: unknown): value is XmlNode {
  return typeof value === 'string' || (typeof value === 'object' && value !== null)
}
