// Toasts and the one confirm dialog.

import { ref, shallowRef } from 'vue'
import { Problem } from '../api'
import { i18n } from '../i18n'

export interface Toast {
  id: number
  kind: 'ok' | 'bad'
  text: string
  link?: { to: string; text: string }
}

export interface Question {
  title: string
  text: string
  action: string
  danger: boolean
  answer: (yes: boolean) => void
}

export const toasts = ref<Toast[]>([])
export const question = shallowRef<Question | null>(null)
let last = 0

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id)
}

export function toast(text: string, kind: 'ok' | 'bad' = 'ok', link?: Toast['link']): void {
  const id = ++last
  toasts.value = [...toasts.value.slice(-3), { id, kind, text, ...(link ? { link } : {}) }]
  window.setTimeout(() => dismiss(id), kind === 'bad' ? 9_000 : 4_500)
}

export function messageOf(error: unknown): string {
  const { t } = i18n.global
  if (error instanceof Problem) {
    if (error.status === 0) return t('error.unreachable')
    if (error.status === 412) return t('error.changed')
    const parts = error.errors.length ? [error.title, ...error.errors.map((e) => e.message)] : [error.message]
    return parts.filter((part, at) => part && parts.indexOf(part) === at).join(' · ')
  }
  return String(error instanceof Error ? error.message : error)
}

/** Does the work and tells when it failed; false then. */
export async function attempt(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    toast(messageOf(error), 'bad')
    return false
  }
}

export function confirm(title: string, text: string, action: string, danger = true): Promise<boolean> {
  return new Promise((resolve) => {
    question.value = {
      title,
      text,
      action,
      danger,
      answer: (yes) => {
        question.value = null
        resolve(yes)
      },
    }
  })
}
