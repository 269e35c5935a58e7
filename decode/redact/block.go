// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"strings"

	"h2sniff/decode"
)

// rewrite takes the secrets out of the field block in progress, whose last frame
// is r, where it is held. It returns false unless every octet of the block is
// accounted for.
func (d *direction) rewrite(r *decode.Row) bool {
	if !r.HasFields {
		return false
	}
	block, ok := d.gatherBlock()
	if !ok {
		return false
	}
	// Table size updates stand before the fields (RFC 7541, section 4.2).
	at := len(block)
	for i := range r.Fields {
		at -= r.Fields[i].Encoding.Octets()
	}
	if at < 0 || !sizeUpdates(block[:at]) {
		return false
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		rep := block[at : at+f.Encoding.Octets()]
		at += len(rep)
		if f.Encoding.Form() == decode.FormIndexed {
			continue // what it refers to was rewritten when it was inserted
		}
		from, to, huffman, ok := decode.ValueLiteral(rep)
		if !ok || !f.ValueKnown {
			return false
		}
		secret := d.conn.s.secrets(f)
		if len(secret) == 0 {
			continue
		}
		d.value, ok = rewriteValue(d.value[:0], f.Value, secret, rep[from:to], huffman)
		if !ok {
			return false
		}
		copy(rep[from:to], d.value)
	}
	d.putBlock(block)
	return true
}

// sizeUpdates tells whether b is a run of table size updates (RFC 7541, section
// 6.3), and nothing else.
func sizeUpdates(b []byte) bool {
	for len(b) > 0 {
		if b[0]&0xe0 != 0x20 {
			return false
		}
		n := 1
		if b[0]&0x1f == 0x1f {
			for n < len(b) && b[n]&0x80 != 0 {
				n++
			}
			if n++; n > len(b) {
				return false
			}
		}
		b = b[n:]
	}
	return true
}

// gatherBlock gives the field block in progress. Padding becomes zero on the
// way, as it must be (RFC 9113, section 6.1).
func (d *direction) gatherBlock() ([]byte, bool) {
	block := d.scratch[:0]
	for i := range d.block {
		f := &d.block[i]
		at := len(block)
		var ok bool
		if block, ok = d.held.gather(block, f.offset+frameHeaderSize, endOf(f.offset, f.header)); !ok {
			return nil, false
		}
		payload := block[at:]
		from, to, ok := decode.FieldBlockFragment(f.header, payload)
		if !ok {
			return nil, false
		}
		f.from, f.n = f.offset+frameHeaderSize+uint64(from), to-from
		clear(payload[to:])
		d.held.put(f.from+uint64(f.n), payload[to:])
		block = block[:at+copy(payload, payload[from:to])]
	}
	if d.scratch = block; cap(block) > 64<<10 {
		d.scratch = nil
	}
	return block, true
}

// putBlock puts the field block where it was taken from.
func (d *direction) putBlock(block []byte) {
	for _, f := range d.block {
		d.held.put(f.from, block[:f.n])
		block = block[f.n:]
	}
}

// span is a part of a value, octets from inclusive, to exclusive.
type span struct{ from, to int }

// secrets gives the parts of a literal's value that are secrets.
func (s *Source) secrets(f *decode.Field) []span {
	if f.Value == "" {
		return nil
	}
	name := strings.ToLower(f.Name)
	if f.Sensitive || !f.NameKnown || s.names[name] {
		return []span{{0, len(f.Value)}}
	}
	switch name {
	case ":path", "location", "content-location", "referer":
		return querySecrets(f.Value)
	}
	return nil
}

// querySecrets finds the values in the query and the fragment of a URI
// reference. What has no name there is a value.
func querySecrets(uri string) []span {
	at := strings.IndexAny(uri, "?#")
	if at < 0 {
		return nil
	}
	var spans []span
	for at < len(uri) {
		at++ // behind a delimiter
		end := len(uri)
		if n := strings.IndexAny(uri[at:], "&;?#"); n >= 0 {
			end = at + n
		}
		if n := strings.IndexByte(uri[at:end], '='); n >= 0 {
			at += n + 1
		}
		if at < end {
			spans = append(spans, span{at, end})
		}
		at = end
	}
	return spans
}
