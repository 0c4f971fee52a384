/**
 * Environment variables in the config file.
 *
 * A value that is `${NAME}` as a whole, white space around and inside the braces aside, stands for the
 * variable's value. Anywhere else `${` is plain text.
 */

export type Environment = Readonly<Record<string, string | undefined>>

/** The name of the variable that the text stands for; `undefined` if it stands for itself. */
export function referencedVariable(text: string): string | undefined {
  return /^\$\{(.*)\}$/s.exec(text.trim())?.[1]?.trim()
}
