const hex = (text) => Buffer.from(text, 'latin1').toString('hex');
require('http').createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    let text = `method ${request.method}\ntarget ${request.url}\n`;
    for (let i = 0; i < request.rawHeaders.length; i += 2)
      text += `field ${request.rawHeaders[i]} ${hex(request.rawHeaders[i + 1])}\n`;
    response.end(text + `body ${Buffer.concat(pieces).toString('hex')}\n`);
  });
}).listen(@port@, '127.0.0.1');
