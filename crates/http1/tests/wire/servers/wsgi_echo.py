def echo(environ, start_response):
    body = environ['wsgi.input'].read()
    text = f"method {environ['REQUEST_METHOD']}\ntarget {environ['RAW_URI']}\n"
    for name, value in environ.items():
        if name.startswith('HTTP_') or name in ('CONTENT_TYPE', 'CONTENT_LENGTH'):
            text += f"field {name.removeprefix('HTTP_')} {value.encode('latin1').hex()}\n"
    out = (text + f'body {body.hex()}\n').encode('latin1')
    start_response('200 OK', [('Content-Length', str(len(out)))])
    return [b'' if environ['REQUEST_METHOD'] == 'HEAD' else out]
