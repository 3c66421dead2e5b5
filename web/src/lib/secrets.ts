// How a text names a secret of jobs, and how that gets into a field.

/** What stands for the secret in a command text. */
export function reference(name: string): string {
  return `\${secret:${name}}`
}

/** What a new one may be called, as the server has it. */
export const NAME_PATTERN = '[A-Za-z_][A-Za-z0-9_]{0,63}'

/** Puts it where the cursor is, or was, in place of what is selected, as if it had been typed. */
export function insertAtCursor(field: HTMLInputElement | HTMLTextAreaElement, text: string): void {
  const { length } = field.value
  field.setRangeText(text, field.selectionStart ?? length, field.selectionEnd ?? length, 'end')
  field.dispatchEvent(new InputEvent('input', { bubbles: true, inputType: 'insertText', data: text }))
  field.focus()
}
