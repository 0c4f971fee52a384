/** The modules of a package, in few files of JavaScript; other packages stay what they are, and are imported. */
import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { type ChunkingContext, type Plugin, rolldown } from 'rolldown'

export interface BundledPackage {
  readonly folder: string
  /** The folder of its modules, in its own. */
  readonly source: string
  /** The same of what is published. */
  readonly output: string
  /** Modules of `source` that are started by their path: entries beside those that the manifest names. */
  readonly programs?: readonly string[]
  /**
   * The modules that each kind of start asks for, by a word for it. Modules that the same starts load lie in one file,
   * named by them; without, every command that uses a part of the server would cut it into more files.
   */
  readonly starts?: Readonly<Record<string, readonly string[]>>
}

interface Manifest {
  readonly bin?: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string>>
  readonly publishConfig: {
    readonly bin?: Readonly<Record<string, string>>
    readonly exports: Readonly<Record<string, { readonly default: string }>>
  }
}

/**
 * Writes each entry to where the manifest has it published, and what they share, or import when they need it, to files
 * directly in `output`. Each module is in one file, so that a class is one class whichever entry it comes from.
 *
 * @throws Error with what rolldown says.
 */
export async function bundle(bundled: BundledPackage): Promise<void> {
  const source = join(bundled.folder, bundled.source)
  const output = await rolldown({
    cwd: bundled.folder,
    input: entriesOf(bundled),
    platform: 'node',
    preserveEntrySignatures: 'allow-extension',
    external: /^[^./]/,
    plugins: [keepPlaces(source)],
    // Some commands are loaded when they are called, and are a part of another one as well.
    checks: { ineffectiveDynamicImport: false },
  })
  await output.write({
    dir: join(bundled.folder, bundled.output),
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    minifyInternalExports: false,
    codeSplitting: {
      // Without it, no file imports one that imports it: what a module imports is loaded by all starts that load it.
      groups: [
        { name: startsOf(bundled, source), debugName: 'starts', includeDependenciesRecursively: false },
      ],
    },
  })
}

/** @returns the modules of all that the manifest names, by what they are published as. */
function entriesOf({ folder, source, output, programs = [] }: BundledPackage): Record<string, string> {
  const {
    bin = {},
    exports,
    publishConfig,
  }: Manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const published = [
    ...Object.entries(bin).map(([name, module]) => [publishConfig.bin?.[name], module]),
    ...Object.entries(exports).map(([path, module]) => [publishConfig.exports[path]?.default, module]),
    ...programs.map((program) => [`./${output}/${program}`, `./${source}/${program}`]),
  ]
  return Object.fromEntries(
    published.map(([file = '', module = '']) => [relative(output, file).replace(/\.js$/, ''), module]),
  )
}

/** @returns what names the file of a module, by the starts that load it; null, for rolldown to decide, where none does. */
function startsOf({ starts = {} }: BundledPackage, source: string) {
  let loaded: [start: string, modules: ReadonlySet<string>][] | undefined
  return (module: string, context: ChunkingContext): string | null => {
    loaded ??= Object.entries(starts).map(([start, paths]) => {
      const modules = paths.map((path) => join(source, path))
      return [start, loadedBy(modules, context)]
    })
    const names = loaded.filter(([, modules]) => modules.has(module)).map(([start]) => start)
    return names.length === 0 ? null : names.join('-')
  }
}

/** These modules and all that they import, but for what they import when they need it. */
function loadedBy(modules: readonly string[], context: ChunkingContext): ReadonlySet<string> {
  const missing = modules.find((module) => context.getModuleInfo(module) === null)
  if (missing !== undefined) throw new Error(`no entry imports ${missing}`)
  const loaded = new Set(modules)
  for (const module of loaded) {
    for (const imported of context.getModuleInfo(module)?.importedIds ?? []) loaded.add(imported)
  }
  return loaded
}

/** Makes `import.meta.url` speak of the place of the module, though its code stands in a file of another folder. */
function keepPlaces(source: string): Plugin {
  return {
    name: 'keep-places',
    transform: {
      filter: { code: /\bimport\.meta\.(?:url|dirname|filename)\b/ },
      handler(code, module) {
        if (/\bimport\.meta\.(?:dirname|filename)\b/.test(code)) {
          throw new Error(`${module}: of import.meta, only the URL is kept as it is in the source`)
        }
        const place = `new URL(PLACE_OF(${JSON.stringify(relative(source, module))}), import.meta.url)`
        return code.replaceAll('import.meta.url', place)
      },
    },
    renderChunk(code, { fileName }) {
      return code.replaceAll(/\bPLACE_OF\("(.*?)"\)/g, (_, module) =>
        JSON.stringify(relative(dirname(fileName), module)),
      )
    },
  }
}
