"""How `make explore` serves its page: to this machine, with a token, and asking nothing of other machines."""
c = get_config()  # noqa: F821  (Voilà gives it)

c.Voila.ip = '127.0.0.1'
c.Voila.auto_token = True     # other users of this machine cannot open the page

# Voilà's template asks for icons from a server far away. The page needs none, and the browser is told to load nothing.
here = "'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
c.Voila.tornado_settings = {'headers': {'Content-Security-Policy': f"default-src {here}; frame-ancestors 'self'"}}

# A browser that goes away leaves a kernel behind, and the run of its photograph: both end after two minutes.
c.MappingKernelManager.cull_interval = 20
c.MappingKernelManager.cull_idle_timeout = 120
