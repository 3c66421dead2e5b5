import './styles/base.css'
import './styles/parts.css'
import './styles/shell.css'
import { createApp } from 'vue'
import App from './App.vue'
import { i18n } from './i18n'
import { connectEvents } from './lib/live'
import { applyPrefs } from './lib/prefs'
import { router } from './router'

applyPrefs()
connectEvents()
createApp(App).use(i18n).use(router).mount('#app')
