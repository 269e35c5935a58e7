// SPDX-License-Identifier: Apache-2.0

package har

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"h2sniff/capture"
	"h2sniff/decode"
	c "h2sniff/decode/content"
	"h2sniff/decode/visible"
)

// httpVersion is what Chrome shows as h2.
const httpVersion = "HTTP/2.0"

func newEntry(x *c.Exchange, l c.Limits) entry {
	req, resp := x.Request(), x.Response()
	e := entry{
		StartedDateTime: time.Unix(0, x.Begin()).UTC().Format("2006-01-02T15:04:05.000000Z"),
		Timings:         times(x), ConnectionID: x.Conn.String(), Connection: x.Conn.String(),
		Stream: x.Stream, Seq: x.FirstSeq, PID: x.Info.PID, Comm: text(x.Info.Comm),
		Complete: x.Complete(), Pushed: x.Promised,
	}
	e.Time = e.Timings.Send + e.Timings.Wait + e.Timings.Receive
	if x.Role != capture.RoleUnknown {
		e.Role = x.Role.String()
	}
	server := x.Remote
	if x.RequestDirection() == capture.Recv {
		server = x.Local
	}
	e.ServerIPAddress = address(server)
	if server.IsValid() {
		e.Connection = strconv.Itoa(int(server.Port()))
	}
	e.Local, e.Remote = port(x.Local), port(x.Remote)
	e.Request = newRequest(x, req, l)
	e.Response = newResponse(x, resp, l)
	var notes []string
	switch {
	case x.Reset != nil:
		code := "an error code that was not captured"
		if x.Reset.CodeKnown {
			code = decode.ErrorName(x.Reset.Code)
		}
		by := "the server"
		if x.Reset.Direction == x.RequestDirection() {
			by = "the client"
		}
		e.Response.Error = "stream reset by " + by + ": " + code
	case x.Closed && !e.Complete:
		e.Response.Error = "the connection was closed before the exchange was complete"
	case x.GivenUp:
		e.Response.Error = "not followed to its end: too many streams were open"
	case !e.Complete:
		e.Response.Error = "the recording ends before the exchange is complete"
	}
	if e.Response.Error != "" {
		notes = append(notes, e.Response.Error)
	}
	if !req.Seen {
		notes = append(notes, "the request was not seen")
	}
	e.Comment = strings.Join(notes, "; ")
	if m := x.Message(x.RequestDirection()); c.IsWebSocket(m) {
		e.ResourceType = "websocket"
		e.WebSocket = webSocket(x)
	}
	return e
}

// times divides the time of an exchange. Where the response began before the
// request ended, sending counts until then.
func times(x *c.Exchange) timings {
	req, resp := x.Request(), x.Response()
	t := timings{Blocked: -1, DNS: -1, Connect: -1, SSL: -1}
	begin, sent := x.Begin(), req.End
	if !req.Seen {
		sent = begin
	}
	if resp.Seen && resp.Begin < sent {
		sent = resp.Begin
	}
	t.Send = ms(sent - begin)
	switch {
	case resp.Seen:
		t.Wait = ms(resp.Begin - sent)
		t.Receive = ms(resp.End - resp.Begin)
	case x.Reset != nil:
		t.Wait = ms(x.Reset.Time - sent)
	}
	return t
}

// ms gives nanoseconds as milliseconds, never less than 0.
func ms(ns int64) float64 { return float64(max(ns, 0)) / 1e6 }

func newRequest(x *c.Exchange, s *c.Side, l c.Limits) request {
	r := request{
		HTTPVersion: httpVersion, HeadersSize: -1, Headers: headers(s.Fields), Cookies: []cookie{}, QueryString: []pair{},
		BodySize: size(&s.Body),
	}
	r.Method, _ = value(s, ":method")
	var parsed *url.URL
	r.URL, parsed = target(s)
	if parsed != nil {
		r.QueryString = query(parsed.RawQuery)
	}
	for _, v := range values(s.Fields, "cookie") {
		list, err := http.ParseCookie(v)
		if err != nil {
			continue
		}
		for _, k := range list {
			r.Cookies = append(r.Cookies, cookie{Name: text(k.Name), Value: text(k.Value)})
		}
	}
	if s.Undecoded {
		r.Comment = "a field block was not decoded"
	}
	if len(s.Body.Frames) > 0 && (s.Body.Octets > 0 || len(s.Body.Holes) > 0) {
		b, comment := body(x.Message(x.RequestDirection()), l)
		p := &post{Params: []pair{}, Comment: comment, MimeType: mimeType(s)}
		p.Text, p.Encoding = bodyText(b)
		if p.Encoding == "" && comment == "" && strings.HasPrefix(p.MimeType, "application/x-www-form-urlencoded") {
			p.Params = query(p.Text)
		}
		r.PostData = p
	}
	return r
}

func newResponse(x *c.Exchange, s *c.Side, l c.Limits) response {
	r := response{
		HTTPVersion: httpVersion, HeadersSize: -1, Headers: headers(s.Fields), Cookies: []cookie{},
		BodySize: size(&s.Body), Size: int64(s.HeaderOctets + s.Body.Octets),
	}
	status, p := c.Lookup(s.Fields, ":status")
	switch {
	case p == c.Present:
		r.StatusText = "(no status code)"
		// Three digits (RFC 9110, section 15).
		if n, err := strconv.ParseUint(status, 10, 64); err == nil && len(status) == 3 {
			r.Status, r.StatusText = int(n), http.StatusText(int(n))
		}
	case s.Fields == nil && !s.Seen:
		r.StatusText = "(no response)"
	default:
		r.StatusText = "(status not known)"
	}
	if location, p := c.Lookup(s.Fields, "location"); p == c.Present {
		r.RedirectURL = text(location)
	}
	for _, v := range values(s.Fields, "set-cookie") {
		k, err := http.ParseSetCookie(v)
		if err != nil {
			continue
		}
		set := cookie{Name: text(k.Name), Value: text(k.Value), Path: text(k.Path), Domain: text(k.Domain), HTTPOnly: k.HttpOnly, Secure: k.Secure}
		if !k.Expires.IsZero() {
			set.Expires = k.Expires.UTC().Format(time.RFC3339)
		}
		r.Cookies = append(r.Cookies, set)
	}
	if s.Undecoded {
		r.Comment = "a field block was not decoded"
	}
	if s.Trailers != nil {
		r.Trailers = headers(s.Trailers)
	}
	b, comment := body(x.Message(x.RequestDirection().Reverse()), l)
	r.Content = contentObject{MimeType: mimeType(s), Size: int64(len(b.Data)), Comment: comment}
	if comment == "" {
		// Only of a body that is whole is it known what compression saved.
		r.Content.Compression = max(0, int64(b.Octets)-int64(s.Body.Octets))
	}
	r.Content.Text, r.Content.Encoding = bodyText(b)
	return r
}

// size is that of a body on the wire, -1 where it is not known.
func size(b *c.Body) int64 {
	for _, h := range b.Holes {
		if !h.Exact {
			return -1
		}
	}
	return int64(b.Octets)
}

// body gives the decoded body up to the first hole, and what is to be said
// about it.
func body(m *c.Message, l c.Limits) (c.Body, string) {
	b, problem := c.Decoded(m, l)
	out := *b
	var notes []string
	if problem != "" {
		notes = append(notes, problem)
	}
	if why := b.Problem(); why != "" && (len(b.Frames) > 0 || len(b.Data) > 0 || len(b.Holes) > 0) {
		notes = append(notes, "incomplete: "+why)
	}
	out.Data = b.Prefix()
	return out, strings.Join(notes, "; ")
}

// bodyText gives a body as the text of HAR and its encoding. Octets that no text
// has go out as base64 even where they are UTF-8: JSON takes six octets for each.
func bodyText(b c.Body) (string, string) {
	if utf8.Valid(b.Data) && !slices.ContainsFunc(b.Data, notText) {
		return string(b.Data), ""
	}
	return base64.StdEncoding.EncodeToString(b.Data), "base64"
}

// notText tells whether an octet is a control character that text does not have.
func notText(o byte) bool {
	return o < ' ' && o != '\t' && o != '\n' && o != '\f' && o != '\r' || o == 0x7f
}

func mimeType(s *c.Side) string {
	if v, p := value(s, "content-type"); p != c.Absent && p != c.Possible {
		return v
	}
	return "x-unknown"
}

// value gives the value of a field, or the text that stands for one that is
// not known.
func value(s *c.Side, name string) (string, c.Presence) {
	v, p := c.Lookup(s.Fields, name)
	if p == c.Present {
		return text(v), p
	}
	if name[0] == ':' || p == c.Unknown {
		return "‹unknown›", p
	}
	return "", p
}

// values gives the known values of all fields of a name.
func values(fields []decode.Field, name string) []string {
	var list []string
	for i := range fields {
		if f := &fields[i]; f.Trust == decode.TrustExact && f.Name == name {
			list = append(list, f.Value)
		}
	}
	return list
}

// headers gives the fields of a section.
func headers(fields []decode.Field) []header {
	list := make([]header, 0, len(fields))
	for i := range fields {
		f := &fields[i]
		h := header{Name: text(f.Name), Value: text(f.Value), Sensitive: f.Sensitive}
		if !utf8.ValidString(f.Value) {
			h.ValueBase64 = base64.StdEncoding.EncodeToString([]byte(f.Value))
			h.Comment = "the value is not UTF-8: _valueBase64 has it"
		}
		if f.Trust != decode.TrustExact {
			h.Trust = f.Trust.String()
			mark := "‹" + h.Trust + ", table entry " + strconv.FormatInt(f.Unknown, 10) + "›"
			if !f.NameKnown {
				h.Name = mark
			}
			if !f.ValueKnown {
				h.Value = mark
			}
			h.Comment = "not known: it refers to a compression table entry that was not seen"
		}
		list = append(list, h)
	}
	return list
}

// text makes a string that JSON can hold.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return visible.String(s)
}

// target gives the URL of a request.
func target(s *c.Side) (string, *url.URL) {
	part := func(name, unknown string) string {
		v, p := c.Lookup(s.Fields, name)
		if p == c.Present {
			return v
		}
		return unknown
	}
	scheme := part(":scheme", "https")
	authority := part(":authority", "")
	path := part(":path", "/unknown-path")
	if authority == "" {
		authority = part("host", "unknown-authority.invalid")
	}
	if method, p := c.Lookup(s.Fields, ":method"); p == c.Present && method == "CONNECT" {
		if _, extended := c.Lookup(s.Fields, ":protocol"); extended == c.Absent {
			path = "/"
		} else if scheme == "https" {
			scheme = "wss"
		} else {
			scheme = "ws"
		}
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // of OPTIONS *
	}
	raw := scheme + "://" + authority + path
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || !utf8.ValidString(raw) {
		u = &url.URL{Scheme: "https", Host: "unknown-authority.invalid", Path: path}
		return u.String(), nil
	}
	return raw, u
}

func query(raw string) []pair {
	list := []pair{}
	for item := range strings.SplitSeq(raw, "&") {
		if item == "" {
			continue
		}
		name, v, _ := strings.Cut(item, "=")
		if n, err := url.QueryUnescape(name); err == nil {
			name = n
		}
		if d, err := url.QueryUnescape(v); err == nil {
			v = d
		}
		list = append(list, pair{text(name), text(v)})
	}
	return list
}

func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.Addr().Unmap().WithZone("").String()
}

func port(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
