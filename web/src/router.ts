// Pages live behind the hash: every path of this server may belong to the API (/jobs/* does), and
// the binary then serves the console as `/` and its assets and nothing else.

import { createRouter, createWebHashHistory } from 'vue-router'
import { api } from './api'
import { attempt } from './lib/feedback'
import Overview from './pages/Overview.vue'

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: '/', name: 'overview', component: Overview },
    { path: '/jobs', name: 'jobs', component: () => import('./pages/Jobs.vue') },
    { path: '/jobs/new', name: 'job-new', component: () => import('./pages/JobEdit.vue'), meta: { nav: 'jobs' } },
    { path: '/jobs/:id(\\d+)', name: 'job', component: () => import('./pages/Job.vue'), meta: { nav: 'jobs' } },
    { path: '/jobs/:id(\\d+)/edit', name: 'job-edit', component: () => import('./pages/JobEdit.vue'), meta: { nav: 'jobs' } },
    { path: '/runs', name: 'runs', component: () => import('./pages/Runs.vue') },
    { path: '/runs/:id([0-9a-f]{16})', name: 'run', component: () => import('./pages/Run.vue'), meta: { nav: 'runs' } },
    { path: '/functions', name: 'functions', component: () => import('./pages/Functions.vue') },
    { path: '/logs', name: 'logs', component: () => import('./pages/Logs.vue') },
    { path: '/account', name: 'account', component: () => import('./pages/Account.vue') },
    { path: '/settings', name: 'settings', component: () => import('./pages/Settings.vue') },
    { path: '/settings/secrets', name: 'secrets', component: () => import('./pages/Secrets.vue'), meta: { nav: 'settings', title: 'secrets' } },
    { path: '/settings/audit', name: 'audit', component: () => import('./pages/Audit.vue'), meta: { nav: 'settings', title: 'audit' } },
    { path: '/:rest(.*)*', name: 'nowhere', component: () => import('./pages/Nowhere.vue') },
  ],
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
})

// A page that is open while the server is upgraded asks for parts that the new one does not have. It is
// loaded anew then, at the place the reader wanted; not twice in a row, when something else is wrong.
const RELOADED = 'tj.reloaded'
router.onError(async (error, to) => {
  const last = Number(sessionStorage.getItem(RELOADED) ?? 0)
  if (!/import|fetch|preload/i.test(String(error)) || Date.now() - last < 15_000) return
  // A server that is away, or lets us in no more, has nothing newer to give: its reason is told instead.
  if (!(await attempt(() => api.session()))) return
  sessionStorage.setItem(RELOADED, String(Date.now()))
  location.hash = to.fullPath
  location.reload()
})
