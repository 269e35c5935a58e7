// SPDX-License-Identifier: Apache-2.0

package har

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/content"
)

// schema lists the members that HAR 1.2 requires of each object, with their
// types: s string, n number, i integer, a array, o object. Members in
// optional may be absent, all others than these must begin with an underscore.
var schema = map[string]struct{ required, optional string }{
	"log":      {"version:s creator:o entries:a", "pages:a browser:o comment:s"},
	"creator":  {"name:s version:s", "comment:s"},
	"entry":    {"startedDateTime:s time:n request:o response:o cache:o timings:o", "pageref:s serverIPAddress:s connection:s comment:s"},
	"request":  {"method:s url:s httpVersion:s cookies:a headers:a queryString:a headersSize:i bodySize:i", "postData:o comment:s"},
	"response": {"status:i statusText:s httpVersion:s cookies:a headers:a content:o redirectURL:s headersSize:i bodySize:i", "comment:s"},
	"header":   {"name:s value:s", "comment:s"},
	"cookie":   {"name:s value:s", "path:s domain:s expires:s httpOnly:b secure:b comment:s"},
	"pair":     {"name:s value:s", "comment:s"},
	"postData": {"mimeType:s params:a text:s", "comment:s"},
	"content":  {"size:i mimeType:s", "compression:i text:s encoding:s comment:s"},
	"timings":  {"send:n wait:n receive:n", "blocked:n dns:n connect:n ssl:n comment:s"},
	"cache":    {"", "beforeRequest:o afterRequest:o comment:s"},
}

// validate checks an object against the specification.
func validate(t *testing.T, kind string, v any) map[string]any {
	t.Helper()
	o, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("%s is %T", kind, v)
	}
	types := map[string]string{}
	for i, list := range []string{schema[kind].required, schema[kind].optional} {
		for _, item := range strings.Fields(list) {
			name, typ, _ := strings.Cut(item, ":")
			types[name] = typ
			if _, there := o[name]; i == 0 && !there {
				t.Errorf("%s has no %s", kind, name)
			}
		}
	}
	for name, v := range o {
		typ, known := types[name]
		if !known {
			if name[0] != '_' {
				t.Errorf("%s has %s, which HAR does not know", kind, name)
			}
			continue
		}
		good := false
		switch v := v.(type) {
		case string:
			good = typ == "s"
		case float64:
			good = typ == "n" || typ == "i" && v == float64(int64(v))
		case []any:
			good = typ == "a"
		case map[string]any:
			good = typ == "o"
		case bool:
			good = typ == "b"
		}
		if !good {
			t.Errorf("%s.%s is %T %v", kind, name, v, v)
		}
	}
	return o
}

// validateArchive checks an archive and returns its entries.
func validateArchive(t *testing.T, data []byte) []map[string]any {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatalf("%v in %.300s", err, data)
	}
	log := validate(t, "log", root["log"])
	if log["version"] != "1.2" {
		t.Errorf("version %v", log["version"])
	}
	validate(t, "creator", log["creator"])
	if _, ok := log["pages"].([]any); !ok {
		t.Error("no pages: Chrome and Firefox go through them")
	}
	var list []map[string]any
	each := func(kind string, v any) {
		for _, item := range v.([]any) {
			validate(t, kind, item)
		}
	}
	last := time.Time{}
	for _, v := range log["entries"].([]any) {
		e := validate(t, "entry", v)
		list = append(list, e)
		started, err := time.Parse(time.RFC3339Nano, e["startedDateTime"].(string))
		if err != nil || started.Before(last) {
			t.Errorf("startedDateTime %v: %v, before %v", e["startedDateTime"], err, last)
		}
		last = started
		if e["serverIPAddress"] != nil {
			if _, err := netip.ParseAddr(e["serverIPAddress"].(string)); err != nil {
				t.Error(err)
			}
		}
		validate(t, "cache", e["cache"])
		times := validate(t, "timings", e["timings"])
		sum := 0.0
		for _, name := range []string{"send", "wait", "receive", "blocked", "dns", "connect"} {
			n := times[name].(float64)
			if n < 0 && n != -1 || n < 0 && (name == "send" || name == "wait" || name == "receive") {
				t.Errorf("timings.%s is %v", name, n)
			}
			sum += max(n, 0)
		}
		if d := sum - e["time"].(float64); d > 1e-6 || d < -1e-6 {
			t.Errorf("time is %v, timings add up to %v", e["time"], sum)
		}
		q := validate(t, "request", e["request"])
		u, err := url.Parse(q["url"].(string))
		if err != nil || u.Host == "" || u.Scheme == "" {
			t.Errorf("url %v: %v", q["url"], err)
		}
		each("cookie", q["cookies"])
		each("header", q["headers"])
		each("pair", q["queryString"])
		if q["postData"] != nil {
			each("pair", validate(t, "postData", q["postData"])["params"])
		}
		p := validate(t, "response", e["response"])
		each("cookie", p["cookies"])
		each("header", p["headers"])
		c := validate(t, "content", p["content"])
		if c["encoding"] == "base64" {
			if _, err := base64.StdEncoding.DecodeString(c["text"].(string)); err != nil {
				t.Error(err)
			}
		}
	}
	return list
}

func known(nv ...string) []decode.Field {
	list := []decode.Field{}
	for i := 0; i < len(nv); i += 2 {
		list = append(list, decode.Field{Name: nv[i], Value: nv[i+1], NameKnown: true, ValueKnown: true})
	}
	return list
}

// traffic hands rows to a collector, a millisecond each.
type traffic struct {
	c   *content.Collector
	seq uint64
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano()

func (r *traffic) add(row decode.Row) {
	row.Conn, row.Role = 1, capture.Client
	row.Time = start + int64(r.seq)*1e6
	row.TimeEnd = row.Time
	r.seq++
	r.c.Add(r.seq, &row)
}

func (r *traffic) headers(d capture.Direction, stream uint32, flags http2.Flags, fields []decode.Field) {
	r.add(decode.Row{Kind: decode.RowFrame, Direction: d, HasFields: true, Fields: fields,
		Header: decode.FrameHeader{Type: http2.FrameHeaders, Flags: http2.FlagHeadersEndHeaders | flags, StreamID: stream, Length: 20}})
}

func (r *traffic) data(d capture.Direction, stream uint32, flags http2.Flags, data string) {
	r.add(decode.Row{Kind: decode.RowFrame, Direction: d, Payload: []byte(data),
		Header: decode.FrameHeader{Type: http2.FrameData, Flags: flags, StreamID: stream, Length: uint32(len(data))}})
}

const (
	send = capture.Send
	recv = capture.Recv
	end  = http2.FlagDataEndStream
)

// archive runs traffic and writes what came of it.
func archive(t *testing.T, run func(r *traffic)) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, Options{Version: "test"})
	c := content.NewCollector(content.Limits{}, nil, func(x *content.Exchange) {
		if err := w.Add(x); err != nil {
			t.Fatal(err)
		}
	})
	run(&traffic{c: c})
	c.Flush()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return validateArchive(t, out.Bytes())
}

// at follows a path of names and numbers through an entry.
func at(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		switch o := v.(type) {
		case map[string]any:
			v = o[name]
		case []any:
			var i int
			fmt.Sscan(name, &i)
			if i >= len(o) {
				return nil
			}
			v = o[i]
		default:
			return nil
		}
	}
	return v
}

func expect(t *testing.T, e map[string]any, want map[string]any) {
	t.Helper()
	for path, v := range want {
		if got := at(e, path); got != v {
			t.Errorf("%s is %#v, not %#v", path, got, v)
		}
	}
}

func TestArchive(t *testing.T) {
	list := archive(t, func(r *traffic) {
		r.add(decode.Row{Kind: decode.RowOpen, Info: &capture.ConnInfo{PID: 42, Comm: "curl"}})
		r.add(decode.Row{Kind: decode.RowBind, Binding: &capture.Binding{Evidence: capture.Exact,
			Local: netip.MustParseAddrPort("[::1]:50000"), Remote: netip.MustParseAddrPort("[2001:db8::1]:443")}})
		r.headers(send, 1, 0, known(":method", "POST", ":scheme", "https", ":authority", "example.org:8443", ":path", "/a?x=1&y=%20z&x",
			"content-type", "application/x-www-form-urlencoded", "cookie", "a=b; c=d", "cookie", "e=f"))
		r.data(send, 1, end, "k=v%21&l=w")
		r.headers(send, 3, end, known(":method", "GET", ":scheme", "https", ":authority", "example.org", ":path", "/big"))
		r.headers(recv, 1, 0, known(":status", "404", "content-type", "application/octet-stream", "set-cookie", "s=1; Path=/; Secure; HttpOnly",
			"location", "/there", "x-bytes", "\xff"))
		r.headers(recv, 3, 0, known(":status", "200", "content-type", "text/plain", "content-length", "100"))
		r.data(recv, 3, 0, "partial")
		r.data(recv, 1, 0, "\xff\x00")
		r.headers(recv, 1, http2.FlagHeadersEndStream, known("x-sum", "7"))
		r.add(decode.Row{Kind: decode.RowFrame, Direction: recv, Payload: []byte{0, 0, 0, 2},
			Header: decode.FrameHeader{Type: http2.FrameRSTStream, StreamID: 3, Length: 4}})
		// Attached late: nothing of the request is known but two fields.
		unknown := decode.Field{Trust: decode.UnknownSinceAttach, Unknown: -3}
		named := decode.Field{Name: ":path", NameKnown: true, Trust: decode.UnknownSinceAttach, Unknown: -1}
		r.headers(send, 5, end, append(known(":method", "GET"), unknown, named))
		r.headers(recv, 5, end, []decode.Field{{Name: ":status", NameKnown: true, Trust: decode.UnknownSinceGap, Unknown: 0}})
		r.headers(send, 7, end, known(":method", "GET", ":scheme", "http", ":authority", "é\xff", ":path", "*"))
	})
	if len(list) != 4 {
		t.Fatalf("%d entries", len(list))
	}
	expect(t, list[0], map[string]any{
		"startedDateTime": "2026-01-02T03:04:05.002000Z", "time": 7.0, "timings.send": 1.0, "timings.wait": 2.0, "timings.receive": 4.0,
		"connection": "443", "_connectionId": "c1", "_stream": 1.0, "serverIPAddress": "2001:db8::1", "_localAddress": "[::1]:50000", "_pid": 42.0, "_complete": true,
		"request.method": "POST", "request.url": "https://example.org:8443/a?x=1&y=%20z&x", "request.httpVersion": "HTTP/2.0",
		"request.queryString.1.name": "y", "request.queryString.1.value": " z", "request.queryString.2.value": "",
		"request.cookies.1.name": "c", "request.cookies.2.value": "f", "request.bodySize": 10.0,
		"request.postData.text": "k=v%21&l=w", "request.postData.params.0.value": "v!",
		"response.status": 404.0, "response.statusText": "Not Found", "response.redirectURL": "/there",
		"response.cookies.0.path": "/", "response.cookies.0.httpOnly": true,
		"response.content.encoding": "base64", "response.content.text": "/wA=", "response.content.size": 2.0, "response.bodySize": 2.0,
		"response.headers.4.name": "x-bytes", "response.headers.4.value": `\xff`, "response.headers.4._valueBase64": "/w==",
		"response._trailers.0.name": "x-sum", "response._error": nil, "comment": nil,
	})
	expect(t, list[1], map[string]any{
		"_complete": false, "response._error": "stream reset by the server: INTERNAL_ERROR", "response.status": 200.0,
		"response.content.text": "partial", "response.content.comment": "incomplete: the end was not seen",
		"comment": "stream reset by the server: INTERNAL_ERROR", "request.postData": nil,
	})
	expect(t, list[2], map[string]any{
		"request.method": "GET", "request.url": "https://unknown-authority.invalid/unknown-path",
		"request.headers.1.name": "‹unknown since attach, table entry -3›", "request.headers.1._trust": "unknown since attach",
		"request.headers.2.name": ":path", "request.headers.2.value": "‹unknown since attach, table entry -1›",
		"response.status": 0.0, "response.statusText": "(status not known)", "response.headers.0._trust": "unknown since gap",
	})
	expect(t, list[3], map[string]any{
		"response.status": 0.0, "response.statusText": "(no response)",
		"response._error": "the recording ends before the exchange is complete",
	})
	if u := at(list[3], "request.url").(string); !strings.HasPrefix(u, "https://unknown-authority.invalid/") {
		t.Errorf("url %s", u)
	}
}

// Entries that end in another order than they begin are brought in order.
func TestOrder(t *testing.T) {
	list := archive(t, func(r *traffic) {
		for stream := uint32(1); stream < 40; stream += 2 {
			r.headers(send, stream, end, known(":method", "GET"))
		}
		for stream := uint32(39); stream < 40; stream -= 2 {
			r.headers(recv, stream, end, known(":status", "204"))
		}
	})
	if len(list) != 20 || at(list[0], "_stream") != 1.0 {
		t.Errorf("%d entries, the first of stream %v", len(list), at(list[0], "_stream"))
	}
	// With a window that is too small it is still an archive.
	var out bytes.Buffer
	w := NewWriter(&out, Options{Window: 1000})
	for i := range 50 {
		x := &content.Exchange{Stream: uint32(2*i + 1)}
		if err := w.Add(x); err != nil {
			t.Fatal(err)
		}
	}
	if w.octets > 1000 {
		t.Errorf("%d octets held", w.octets)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(validateArchive(t, out.Bytes())); n != 50 {
		t.Errorf("%d entries", n)
	}
}

func TestWebSocketMessages(t *testing.T) {
	list := archive(t, func(r *traffic) {
		r.headers(send, 1, 0, known(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "h", ":path", "/chat"))
		r.headers(recv, 1, 0, known(":status", "200"))
		r.data(send, 1, 0, "\x81\x82\x00\x00\x00\x00hi")
		r.data(recv, 1, 0, "\x82\x01\xff\x81\x03hey")
	})
	expect(t, list[0], map[string]any{
		"request.url": "wss://h/chat", "_resourceType": "websocket",
		"_webSocketMessages.0.type": "send", "_webSocketMessages.0.data": "hi", "_webSocketMessages.1.type": "receive",
		"_webSocketMessages.1.opcode": 2.0, "_webSocketMessages.1.data": "/w==", "_webSocketMessages.2.data": "hey",
	})
}

// TestBodyText: text goes out as it is, all else as base64, which takes a third
// more than the body whatever it holds.
func TestBodyText(t *testing.T) {
	for _, text := range []string{"", "a\tb\r\n\f", "é 世"} {
		if got, encoding := bodyText(content.Body{Data: []byte(text)}); got != text || encoding != "" {
			t.Errorf("%q becomes %q, %q", text, got, encoding)
		}
	}
	for _, binary := range []string{"\x00", "a\x01", "a\x1bb", "\x7f", "\xff", "\v", strings.Repeat("\x00", 3000)} {
		got, encoding := bodyText(content.Body{Data: []byte(binary)})
		back, err := base64.StdEncoding.DecodeString(got)
		if err != nil || string(back) != binary || encoding != "base64" {
			t.Errorf("%.20q becomes %.20q, %q", binary, got, encoding)
		}
	}
}
