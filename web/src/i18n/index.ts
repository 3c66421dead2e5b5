import { watchEffect } from 'vue'
import { createI18n } from 'vue-i18n'
import { setApiLanguage } from '../api/client'
import { locale } from '../lib/prefs'
import en from './en'
import zh from './zh'

export const i18n = createI18n({ legacy: false, locale: locale.value, fallbackLocale: 'en', messages: { zh, en } })

watchEffect(() => {
  i18n.global.locale.value = locale.value
  document.documentElement.lang = locale.value === 'zh' ? 'zh-CN' : 'en'
  setApiLanguage(locale.value === 'zh' ? 'zh-CN' : 'en')
})
