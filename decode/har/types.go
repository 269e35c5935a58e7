// SPDX-License-Identifier: Apache-2.0

package har

// The objects of HAR 1.2. Members without omitempty are those that the
// specification requires; names with an underscore are custom fields, as it
// allows.

type creator struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type entry struct {
	StartedDateTime string   `json:"startedDateTime"`
	Time            float64  `json:"time"`
	Request         request  `json:"request"`
	Response        response `json:"response"`
	Cache           struct{} `json:"cache"`
	Timings         timings  `json:"timings"`
	ServerIPAddress string   `json:"serverIPAddress,omitempty"`
	// Connection is the server's port where it is known: HAR lets it be, and
	// the developer tools show it behind the address.
	Connection   string      `json:"connection"`
	ConnectionID string      `json:"_connectionId"`
	Comment      string      `json:"comment,omitempty"`
	ResourceType string      `json:"_resourceType,omitempty"`
	WebSocket    []wsMessage `json:"_webSocketMessages,omitempty"`
	Stream       uint32      `json:"_stream"`
	Seq          uint64      `json:"_seq"`
	PID          uint32      `json:"_pid,omitempty"`
	Comm         string      `json:"_comm,omitempty"`
	Role         string      `json:"_role,omitempty"`
	Local        string      `json:"_localAddress,omitempty"`
	Remote       string      `json:"_remoteAddress,omitempty"`
	Complete     bool        `json:"_complete"`
	Pushed       bool        `json:"_was_pushed,omitempty"`
}

type request struct {
	Method      string   `json:"method"`
	URL         string   `json:"url"`
	HTTPVersion string   `json:"httpVersion"`
	Cookies     []cookie `json:"cookies"`
	Headers     []header `json:"headers"`
	QueryString []pair   `json:"queryString"`
	PostData    *post    `json:"postData,omitempty"`
	HeadersSize int64    `json:"headersSize"`
	BodySize    int64    `json:"bodySize"`
	Comment     string   `json:"comment,omitempty"`
}

type response struct {
	Status      int           `json:"status"`
	StatusText  string        `json:"statusText"`
	HTTPVersion string        `json:"httpVersion"`
	Cookies     []cookie      `json:"cookies"`
	Headers     []header      `json:"headers"`
	Content     contentObject `json:"content"`
	RedirectURL string        `json:"redirectURL"`
	HeadersSize int64         `json:"headersSize"`
	BodySize    int64         `json:"bodySize"`
	Comment     string        `json:"comment,omitempty"`
	Trailers    []header      `json:"_trailers,omitempty"`
	Error       string        `json:"_error,omitempty"`
	Size        int64         `json:"_transferSize"`
}

type header struct {
	Name        string `json:"name"`
	Value       string `json:"value"`
	Comment     string `json:"comment,omitempty"`
	Trust       string `json:"_trust,omitempty"` // where it is not exact
	ValueBase64 string `json:"_valueBase64,omitempty"`
	Sensitive   bool   `json:"_sensitive,omitempty"`
}

type pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type cookie struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	Path     string `json:"path,omitempty"`
	Domain   string `json:"domain,omitempty"`
	Expires  string `json:"expires,omitempty"`
	HTTPOnly bool   `json:"httpOnly,omitempty"`
	Secure   bool   `json:"secure,omitempty"`
}

type post struct {
	MimeType string `json:"mimeType"`
	Params   []pair `json:"params"`
	Text     string `json:"text"`
	Encoding string `json:"_encoding,omitempty"` // base64 where the body is not text
	Comment  string `json:"comment,omitempty"`
}

type contentObject struct {
	Size        int64  `json:"size"`
	Compression int64  `json:"compression,omitempty"`
	MimeType    string `json:"mimeType"`
	Text        string `json:"text,omitempty"`
	Encoding    string `json:"encoding,omitempty"`
	Comment     string `json:"comment,omitempty"`
}

type timings struct {
	Blocked float64 `json:"blocked"`
	DNS     float64 `json:"dns"`
	Connect float64 `json:"connect"`
	Send    float64 `json:"send"`
	Wait    float64 `json:"wait"`
	Receive float64 `json:"receive"`
	SSL     float64 `json:"ssl"`
}

// wsMessage is what Chrome's developer tools show of a WebSocket message.
type wsMessage struct {
	Type   string  `json:"type"`
	Time   float64 `json:"time"` // Unix seconds
	Opcode int     `json:"opcode"`
	Data   string  `json:"data"` // base64 for what is not text
}
