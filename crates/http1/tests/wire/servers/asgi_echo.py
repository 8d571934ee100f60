async def echo(scope, receive, send):
    if scope['type'] != 'http':
        return
    body, more = b'', True
    while more:
        event = await receive()
        body += event.get('body', b'')
        more = event.get('more_body', False)
    target = scope['raw_path'] + (b'?' + scope['query_string'] if scope['query_string'] else b'')
    text = f"method {scope['method']}\ntarget {target.decode('latin1')}\n"
    for name, value in scope['headers']:
        text += f"field {name.decode('latin1')} {value.hex()}\n"
    text += f'body {body.hex()}\n'
    out = text.encode('latin1')
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'%d' % len(out))]})
    await send({'type': 'http.response.body', 'body': b'' if scope['method'] == 'HEAD' else out})
