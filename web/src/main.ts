import './styles/base.css'
import './styles/controls.css'
import './styles/parts.css'
import './styles/overlays.css'
import './styles/shell.css'
import { createApp } from 'vue'
import App from './App.vue'
import { i18n } from './i18n'
import { connectEvents } from './lib/live'
import { applyPrefs } from './lib/prefs'
import { mustLogIn, readSession } from './lib/session'
import { router } from './router'

applyPrefs()
// Before the first page: whoever must log in sees nothing of it.
await readSession()
if (!mustLogIn.value) connectEvents()
createApp(App).use(i18n).use(router).mount('#app')
