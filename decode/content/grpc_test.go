// SPDX-License-Identifier: Apache-2.0

package content

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"h2sniff/capture"
)

// shopFile is a small service, in the form that protoc gives it.
func shopFile() *descriptorpb.FileDescriptorProto {
	field := func(name string, number int32, typ descriptorpb.FieldDescriptorProto_Type, repeated bool, typeName string) *descriptorpb.FieldDescriptorProto {
		label := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
		if repeated {
			label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED
		}
		f := &descriptorpb.FieldDescriptorProto{Name: &name, Number: &number, Type: &typ, Label: &label}
		if typeName != "" {
			f.TypeName = &typeName
		}
		return f
	}
	str := descriptorpb.FieldDescriptorProto_TYPE_STRING
	yes := true
	return &descriptorpb.FileDescriptorProto{
		Name: proto.String("shop.proto"), Package: proto.String("shop"), Syntax: proto.String("proto3"),
		EnumType: []*descriptorpb.EnumDescriptorProto{{Name: proto.String("Color"), Value: []*descriptorpb.EnumValueDescriptorProto{
			{Name: proto.String("NONE"), Number: proto.Int32(0)}, {Name: proto.String("RED"), Number: proto.Int32(1)}}}},
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: proto.String("Item"), Field: []*descriptorpb.FieldDescriptorProto{
				field("title", 1, str, false, ""),
				field("delta", 2, descriptorpb.FieldDescriptorProto_TYPE_SINT32, false, ""),
				field("color", 3, descriptorpb.FieldDescriptorProto_TYPE_ENUM, false, ".shop.Color"),
				field("sizes", 4, descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, true, ""),
				field("inner", 5, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, false, ".shop.Item"),
				field("raw", 6, descriptorpb.FieldDescriptorProto_TYPE_BYTES, false, ""),
			}},
		},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("Shop"), Method: []*descriptorpb.MethodDescriptorProto{
			{Name: proto.String("Sell"), InputType: proto.String(".shop.Item"), OutputType: proto.String(".shop.Item"),
				ServerStreaming: &yes, ClientStreaming: &yes},
		}}},
	}
}

func shopSchema(t testing.TB) (*Schema, protoreflect.MessageDescriptor) {
	t.Helper()
	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{shopFile()}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSchema(set)
	if err != nil {
		t.Fatal(err)
	}
	file, err := protodesc.NewFile(shopFile(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, file.Messages().ByName("Item")
}

// shopItem is a message whose parts the tests look for.
func shopItem(typ protoreflect.MessageDescriptor, title string) *dynamicpb.Message {
	m := dynamicpb.NewMessage(typ)
	f := typ.Fields()
	m.Set(f.ByName("title"), protoreflect.ValueOfString(title))
	m.Set(f.ByName("delta"), protoreflect.ValueOfInt32(-7))
	m.Set(f.ByName("color"), protoreflect.ValueOfEnum(1))
	l := m.Mutable(f.ByName("sizes")).List()
	l.Append(protoreflect.ValueOfFloat64(1.5))
	l.Append(protoreflect.ValueOfFloat64(-2))
	inner := dynamicpb.NewMessage(typ)
	inner.Set(f.ByName("title"), protoreflect.ValueOfString("inner "+title))
	m.Set(f.ByName("inner"), protoreflect.ValueOfMessage(inner))
	m.Set(f.ByName("raw"), protoreflect.ValueOfBytes([]byte{0xff, 0, 1}))
	return m
}

// The traffic of grpc-go: streams, a message larger than a frame, compression,
// a status with a message.
func TestGRPC(t *testing.T) {
	schema, typ := shopSchema(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "shop.Shop", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "Sell", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			for {
				m := dynamicpb.NewMessage(typ)
				if err := s.RecvMsg(m); errors.Is(err, io.EOF) {
					return status.Error(codes.NotFound, "nö, 100%\n")
				} else if err != nil {
					return err
				}
				if err := s.SendMsg(m); err != nil {
					return err
				}
			}
		}}}}, nil)
	go server.Serve(l)
	defer server.Stop()
	c := collect(Limits{})
	tp := startTap(t, l.Addr().String(), c.row)
	client, err := grpc.NewClient(tp.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	titles := []string{"small", strings.Repeat("large ", 20_000), "last"}
	for _, options := range [][]grpc.CallOption{nil, {grpc.UseCompressor("gzip")}} {
		s, err := client.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/shop.Shop/Sell", options...)
		if err != nil {
			t.Fatal(err)
		}
		for _, title := range titles {
			if err := s.SendMsg(shopItem(typ, title)); err != nil {
				t.Fatal(err)
			}
			if err := s.RecvMsg(dynamicpb.NewMessage(typ)); err != nil {
				t.Fatal(err)
			}
		}
		s.CloseSend()
		if err := s.RecvMsg(dynamicpb.NewMessage(typ)); status.Code(err) != codes.NotFound {
			t.Fatal(err)
		}
	}
	client.Close()
	server.Stop()
	tp.wg.Wait()
	c.Flush()
	if len(c.exchanges) != 2 {
		t.Fatalf("%d exchanges", len(c.exchanges))
	}
	for i, x := range c.exchanges {
		for _, d := range []capture.Direction{capture.Recv, capture.Send} {
			root := Describe(x.Message(d), Options{Schema: schema})
			g := find(root, KindGRPC)
			if g == nil || len(g.Problems) > 0 || len(root.Problems) > 0 {
				t.Fatalf("%.2000s", AppendText(nil, "", root))
			}
			for j, title := range titles {
				m := g.Children[j]
				if m.Kind != KindGRPCMessage || m.Name != "shop.Item" || len(m.Problems) > 0 || (m.Attr("compressed") == "yes") != (i == 1) {
					t.Fatalf("message %d of call %d: %.2000s", j+1, i, AppendText(nil, "", m))
				}
				if many := strings.Contains(m.Attr("frames"), ".."); many != (j == 1 && i == 0) && i == 0 {
					t.Errorf("message %d came in frames %s", j+1, m.Attr("frames"))
				}
				// dynamicpb writes fields in no certain order.
				got := map[string]string{}
				for _, f := range m.Children {
					got[f.Name] += f.Text + string(f.Data) + ";"
					if f.Name == "inner" {
						got["inner"] = f.Attr("message") + " " + f.Children[0].Name + "=" + f.Children[0].Text
					}
				}
				for name, want := range map[string]string{"title": title + ";", "delta": "-7;", "color": "RED;", "sizes": "1.5;-2;",
					"raw": "\xff\x00\x01;", "inner": "shop.Item title=inner " + title} {
					if got[name] != want {
						t.Errorf("message %d: %s is %.40q", j+1, name, got[name])
					}
				}
			}
			s := find(g, KindGRPCStatus)
			if (s != nil) != (d == capture.Send) {
				t.Fatalf("status: %v", s)
			}
			if s != nil && (s.Attr("status") != "5" || s.Attr("name") != "NOT_FOUND" || s.Text != "nö, 100%\n") {
				t.Errorf("status %+v", s)
			}
		}
		// Without a schema: numbers, wire types, what it looks like.
		root := Describe(x.Message(capture.Recv), Options{})
		out := string(AppendText(nil, "", find(root, KindGRPCMessage)))
		for _, want := range []string{"1 (type=bytes, read as string): small\n", "2 (type=varint): 13\n", "3 (type=varint): 1\n",
			"5 (type=bytes, read as message)\n    1 (type=bytes, read as string): inner small\n", "6 (type=bytes)\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is not in\n%s", want, out)
			}
		}
	}
}

func grpcMessage(flag byte, data string) string {
	return string([]byte{flag, 0, 0, 0, byte(len(data))}) + data
}

// A hole within a message is stepped over, one in a prefix is not.
func TestGRPCHoles(t *testing.T) {
	text := grpcMessage(0, "\x0a\x03abc") + grpcMessage(0, "\x0a\x08abcdefgh") + grpcMessage(0, "\x0a\x03xyz")
	b := whole([]byte(text[:14] + text[17:]))
	b.Holes = []Hole{{At: 14, Size: 3, Exact: true, Reason: "lost"}} // within message 2? see below
	m := response(b, "content-type", "application/grpc+proto")
	root := Describe(m, Options{})
	g := find(root, KindGRPC)
	// Octets 10 to 14 are the prefix of message 2.
	if len(g.Problems) == 0 || !strings.Contains(g.Problems[0], "the boundary of message 2 is not known") {
		t.Errorf("%s", AppendText(nil, "", root))
	}
	b = whole([]byte(text[:19] + text[22:]))
	b.Holes = []Hole{{At: 19, Size: 3, Exact: true, Reason: "lost"}}
	m.Body = b
	root = Describe(m, Options{})
	out := string(AppendText(nil, "", root))
	if !strings.Contains(out, "message 3") || !strings.Contains(out, "xyz") || !strings.Contains(out, "3 octets missing: lost") {
		t.Errorf("%s", out)
	}
	// Cut.
	m.Body = &Body{Data: []byte(text[:20]), Octets: 20}
	out = string(AppendText(nil, "", Describe(m, Options{})))
	if !strings.Contains(out, "cut: 5 of its 10 octets") || !strings.Contains(out, "the end was not seen") {
		t.Errorf("%s", out)
	}
}

func TestGRPCStatus(t *testing.T) {
	m := response(whole(nil), "content-type", "application/grpc", "grpc-status", "14", "grpc-message", "a%20b%E2%82%AC %zz%4")
	s := find(Describe(m, Options{}), KindGRPCStatus)
	if s == nil || s.Attr("name") != "UNAVAILABLE" || s.Text != "a b€ %zz%4" {
		t.Errorf("%+v", s)
	}
	m = response(whole(nil), "content-type", "application/grpc")
	if out := string(AppendText(nil, "", Describe(m, Options{}))); !strings.Contains(out, "without a grpc-status") {
		t.Errorf("%s", out)
	}
	m = response(whole([]byte(grpcMessage(1, "xx"))), "content-type", "application/grpc")
	if out := string(AppendText(nil, "", Describe(m, Options{}))); !strings.Contains(out, "marked as compressed") {
		t.Errorf("%s", out)
	}
	if _, err := ParseSchema([]byte("syntax = \"proto3\";")); err == nil {
		t.Error("a .proto file passes for a descriptor set")
	}
}
