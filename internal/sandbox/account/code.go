package account

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Bounds of code. Sources: Code.ZipFile ("50MB"), ZipFile of UpdateFunctionCode ("20M"), and 583/11637 for
// what it may unpack to.
const (
	maxCreateZip = 50 << 20
	maxUpdateZip = 20 << 20
	maxUnpacked  = 500 << 20
)

// code is a zip whose handler can be run.
type code struct {
	zip    []byte
	binary string // unpacked; "" until it is run for the first time
}

// codeParams say where code comes from: from the request or from an object, and not from both.
type codeParams struct {
	ZipFile, CosBucketName, CosObjectName, CosBucketRegion *string
}

// checkSource holds CodeSource to what was sent.
func (p codeParams) checkSource(source *string) error {
	if source != nil && (*source != "ZipFile" || p.ZipFile == nil) && (*source != "Cos" ||
		p.CosBucketName == nil) {
		return refusal("InvalidParameterValue.CodeSource", "CodeSource %q", *source)
	}
	return nil
}

// readCode gets the zip, and checks that it has the handler as a file that may be executed. The cloud would
// let a zip without one pass, and fail at the first invocation. The bucket's name is given without its
// APPID, and the object's with a slash before it; if the region is not given, it is the function's.
func (a *Account) readCode(p codeParams, region, handler string, limit int) (c code, err error) {
	switch {
	case p.ZipFile != nil && (p.CosBucketName != nil || p.CosObjectName != nil):
		return c, refusal("InvalidParameterValue.Code", "ZipFile and an object of COS")
	case p.ZipFile != nil:
		if c.zip, err = base64.StdEncoding.Strict().DecodeString(*p.ZipFile); err != nil {
			return c, refusal("InvalidParameterValue.ZipFileBase64BinasciiError", "ZipFile: %v", err)
		}
	case p.CosBucketName == nil && p.CosObjectName == nil:
		return c, refusal("MissingParameter.Code", "no code")
	case p.CosBucketName == nil || strings.HasSuffix(*p.CosBucketName, "-"+a.AppID):
		return c, refusal("InvalidParameterValue.CosBucketName", "%q; without the APPID",
			value(p.CosBucketName))
	case !strings.HasPrefix(value(p.CosObjectName), "/"):
		return c, refusal("InvalidParameterValue.CosObjectName", "%q; with a slash before it",
			value(p.CosObjectName))
	default:
		set(&region, p.CosBucketRegion)
		var ok bool
		if a.Object != nil {
			c.zip, ok = a.Object(*p.CosBucketName+"-"+a.AppID, region, (*p.CosObjectName)[1:])
		}
		if !ok {
			return c, refusal("ResourceNotFound.CosObject", "%s in %s-%s, %s", *p.CosObjectName,
				*p.CosBucketName, a.AppID, region)
		}
	}
	if len(c.zip) > limit {
		return c, refusal("InvalidParameterValue.ZipFile", "%d bytes", len(c.zip))
	}
	_, err = handlerOf(c.zip, handler)
	return c, err
}

// handlerOf returns the file in a zip that is run.
func handlerOf(content []byte, handler string) (*zip.File, error) {
	r, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, refusal("InvalidParameterValue.ZipFile", "not a zip: %v", err)
	}
	size := uint64(0)
	var found *zip.File
	for _, f := range r.File {
		if !filepath.IsLocal(f.Name) {
			return nil, refusal("InvalidParameterValue.ZipFile", "file %q", f.Name)
		}
		if size += f.UncompressedSize64; f.Name == handler {
			found = f
		}
	}
	switch {
	case size > maxUnpacked:
		return nil, refusal("InvalidParameterValue.ZipFile", "it unpacks to %d bytes", size)
	case handler == "" || found == nil || !found.Mode().IsRegular():
		return nil, refusal("InvalidParameterValue.Handler", "the zip has no file %q", handler)
	case found.Mode().Perm()&0o111 == 0:
		return nil, refusal("InvalidParameterValue.Handler", "%s may not be executed: mode %v", handler,
			found.Mode())
	}
	return found, nil
}

// unpack writes the handler to a file of its own, once for each code. The caller holds a.mu.
func (a *Account) unpack(f *function) (path string, err error) {
	if f.code.binary != "" {
		return f.code.binary, nil
	}
	if a.folder == "" {
		if a.folder, err = os.MkdirTemp("", "sandbox-account-"); err != nil {
			return "", err
		}
	}
	file, err := handlerOf(f.code.zip, f.handler)
	if err != nil {
		return "", err
	}
	in, err := file.Open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	content, err := io.ReadAll(io.LimitReader(in, maxUnpacked))
	if err != nil {
		return "", err
	}
	folder, err := os.MkdirTemp(a.folder, f.name+"-")
	if err != nil {
		return "", err
	}
	path = filepath.Join(folder, filepath.Base(f.handler))
	if err := os.WriteFile(path, content, 0o755); err != nil {
		return "", fmt.Errorf("unpack: %w", err)
	}
	f.code.binary = path
	return path, nil
}

// updateCode takes code in two places: in Code, or directly.
func (a *Account) updateCode(q *request, p struct {
	FunctionName                                           string `api:"required"`
	Handler, Namespace, CodeSource, Publish                *string
	ZipFile, CosBucketName, CosObjectName, CosBucketRegion *string
	Code                                                   *codeParams
}) (map[string]any, error) {
	f, err := a.ready(q, p.FunctionName, p.Namespace, "FailedOperation.UpdateFunctionCode")
	if err != nil {
		return nil, err
	}
	from := codeParams{p.ZipFile, p.CosBucketName, p.CosObjectName, p.CosBucketRegion}
	if p.Code != nil {
		if from != (codeParams{}) {
			return nil, refusal("InvalidParameterValue.Code", "code in two places")
		}
		from = *p.Code
	}
	if err := from.checkSource(p.CodeSource); err != nil {
		return nil, err
	}
	if err := checkFlag("Publish", p.Publish); err != nil {
		return nil, err
	}
	handler := f.handler
	set(&handler, p.Handler)
	if from == (codeParams{}) { // the list has no MissingParameter.Code for this action
		return nil, refusal("InvalidParameterValue.Code", "no code")
	}
	c, err := a.readCode(from, q.region, handler, maxUpdateZip)
	if err != nil {
		return nil, err
	}
	f.code, f.handler = c, handler
	a.change(q, f, updating)
	return nil, nil
}

// getFunctionAddress tells the digest of the code. The Url, of a download from COS, leads nowhere here.
// That the digest is that of the zip, in hex, is an assumption: "函数的SHA256编码" is all that is said.
func (a *Account) getFunctionAddress(q *request, p struct {
	FunctionName         string `api:"required"`
	Qualifier, Namespace *string
}) (map[string]any, error) {
	f, err := a.find(q, p.FunctionName, p.Namespace)
	if err != nil {
		return nil, err
	}
	if err := checkQualifier(p.Qualifier, "ResourceNotFound.Version"); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(f.code.zip)
	return map[string]any{"CodeSha256": hex.EncodeToString(sum[:]),
		"Url": "https://sandbox-" + a.AppID + ".cos." + f.region + ".myqcloud.com/" + f.name + ".zip"}, nil
}
