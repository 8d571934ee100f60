//! A second reader of messages, as plain as can be: it shares no code with the crate, knows one way to write each
//! thing, and complains about every other.

/// A message as this reader understands it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plain {
    /// The three parts of the first line.
    pub(crate) start: [String; 3],
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
}

impl Plain {
    /// The values of the fields with this name.
    pub(crate) fn values(&self, name: &str) -> Vec<&[u8]> {
        let named = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| &value[..]).collect()
    }
}

/// Reads one request and answers with the bytes behind it.
pub(crate) fn request(bytes: &[u8]) -> Result<(Plain, &[u8]), String> {
    let (mut message, rest) = head(bytes)?;
    if message.values("host").len() != 1 {
        return Err("not one Host".to_owned());
    }
    if message.start[2] != "HTTP/1.1" || message.start.iter().any(|part| part.contains(' ')) {
        return Err(format!("a strange first line: {:?}", message.start));
    }
    let rest = body(&mut message, rest, false)?;
    Ok((message, rest))
}

/// Reads one response and answers with the bytes behind it. Without a length and without chunks it ends with the bytes.
pub(crate) fn response(bytes: &[u8], to_head: bool) -> Result<(Plain, &[u8]), String> {
    let (mut message, rest) = head(bytes)?;
    let status = message.start[1].clone();
    if message.start[0] != "HTTP/1.1" || status.len() != 3 {
        return Err(format!("a strange first line: {:?}", message.start));
    }
    let bodiless = to_head || status.starts_with('1') || status == "204" || status == "304";
    let rest = if bodiless { rest } else { body(&mut message, rest, true)? };
    Ok((message, rest))
}

fn head(bytes: &[u8]) -> Result<(Plain, &[u8]), String> {
    let (lines, rest) = lines(bytes)?;
    let (first, fields) = lines.split_first().ok_or("no first line")?;
    let first = String::from_utf8(first.to_vec()).map_err(|_| "a first line beyond UTF-8")?;
    let parts: Vec<&str> = first.splitn(3, ' ').collect();
    let start = parts.try_into().map_err(|_| "a first line without three parts")?;
    let start: [&str; 3] = start;
    let fields = fields.iter().map(|line| field(line)).collect::<Result<Vec<_>, _>>()?;
    Ok((Plain { start: start.map(str::to_owned), fields, body: Vec::new(), trailers: Vec::new() }, rest))
}

/// Lines up to the empty one, each ended by CRLF and without CR or LF in it.
fn lines(bytes: &[u8]) -> Result<(Vec<&[u8]>, &[u8]), String> {
    let (mut lines, mut rest) = (Vec::new(), bytes);
    loop {
        let (line, after) = line(rest)?;
        rest = after;
        if line.is_empty() {
            return Ok((lines, rest));
        }
        lines.push(line);
    }
}

fn line(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").ok_or("a line does not end")?;
    let line = &bytes[..end];
    match line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        true => Err("a CR, LF or NUL within a line".to_owned()),
        false => Ok((line, &bytes[end + 2..])),
    }
}

fn field(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("a field without colon")?;
    let name = String::from_utf8(line[..colon].to_vec()).map_err(|_| "a name beyond ASCII")?;
    if name.is_empty() || name.chars().any(|c| !c.is_ascii_graphic()) {
        return Err(format!("the field name {name:?}"));
    }
    let value = line[colon + 1..].strip_prefix(b" ").ok_or("no space behind a colon")?;
    match value.trim_ascii() == value {
        true => Ok((name, value.to_vec())),
        false => Err(format!("white space around the value of {name}")),
    }
}

fn body<'a>(message: &mut Plain, rest: &'a [u8], may_end_with_connection: bool) -> Result<&'a [u8], String> {
    let length = message.values("content-length").first().map(|value| String::from_utf8_lossy(value).into_owned());
    let fields = message.values("content-length").len() + message.values("transfer-encoding").len();
    match (fields, length) {
        (0, _) if may_end_with_connection => {
            message.body = rest.to_vec();
            Ok(&[])
        }
        (0, _) => Ok(rest),
        (1, Some(length)) => {
            let length = length.parse::<usize>().map_err(|_| "a length that is no number")?;
            let (body, rest) = rest.split_at_checked(length).ok_or("a body shorter than its length")?;
            message.body = body.to_vec();
            Ok(rest)
        }
        (1, None) if message.values("transfer-encoding") == [b"chunked"] => chunks(message, rest),
        _ => Err("framed twice".to_owned()),
    }
}

fn chunks<'a>(message: &mut Plain, mut rest: &'a [u8]) -> Result<&'a [u8], String> {
    loop {
        let (size, after) = line(rest)?;
        let size = std::str::from_utf8(size).map_err(|_| "a chunk size beyond ASCII")?;
        if !size.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(format!("the chunk size {size:?}"));
        }
        let size = usize::from_str_radix(size, 16).map_err(|_| "a chunk size that is no number")?;
        if size == 0 {
            let (trailers, rest) = lines(after)?;
            message.trailers = trailers.iter().map(|line| field(line)).collect::<Result<_, _>>()?;
            return Ok(rest);
        }
        let (data, after) = after.split_at_checked(size).ok_or("a chunk shorter than its size")?;
        message.body.extend_from_slice(data);
        rest = after.strip_prefix(b"\r\n").ok_or("no CRLF behind a chunk")?;
    }
}
