// Copying. Browsers have the clipboard only on https and on this machine; a console on a plain address of
// the network copies by way of a field that is selected.

import { i18n } from '../i18n'

export async function copy(text: string): Promise<void> {
  // Not typed so, but it is missing on an insecure origin.
  const clipboard = navigator.clipboard as Clipboard | undefined
  if (clipboard) return clipboard.writeText(text)
  const focused = document.activeElement
  const field = document.createElement('textarea')
  field.value = text
  field.readOnly = true
  field.className = 'sr'
  document.body.append(field)
  field.select()
  const done = document.execCommand('copy')
  field.remove()
  if (focused instanceof HTMLElement) focused.focus()
  if (!done) throw new Error(i18n.global.t('error.copy'))
}
