// Theme and language: remembered in this browser, the system's and the browser's by default.

import { computed, ref, watchEffect } from 'vue'

export type Theme = 'system' | 'light' | 'dark'
export type Locale = 'zh' | 'en'

// Storage may be forbidden by the browser; then nothing is remembered.
export function recall(key: string): string | null {
  try {
    return localStorage.getItem(key)
  } catch {
    return null
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value)
  } catch {
    return
  }
}

const stored = recall('tj.theme')
const storedLocale = recall('tj.locale')
const dark = window.matchMedia('(prefers-color-scheme: dark)')
const systemDark = ref(dark.matches)
dark.addEventListener('change', (event) => (systemDark.value = event.matches))

export const theme = ref<Theme>(stored === 'light' || stored === 'dark' ? stored : 'system')
export const locale = ref<Locale>(
  storedLocale === 'zh' || storedLocale === 'en' ? storedLocale : navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en',
)
const shown = computed(() => (theme.value === 'system' ? (systemDark.value ? 'dark' : 'light') : theme.value))

export function applyPrefs(): void {
  watchEffect(() => {
    document.documentElement.dataset.theme = shown.value
    remember('tj.theme', theme.value)
  })
}

export function setLocale(value: Locale): void {
  locale.value = value
  remember('tj.locale', value)
}
