//! Certificates for a test: an authority, a server named `localhost`, a client.

use std::path::Path;

use crate::error::Result;
use crate::process::Run;

const MAKE: &str = r#"
mkdir -p "$1/pki"; cd "$1/pki"
ec="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 $ec -keyout cakey.pem -out cacert.pem -days 30 -subj "/CN=test authority" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
sign() { # NAME SUBJECT USAGE
    openssl req $ec -keyout $1key.pem -out $1.csr -subj "$2"
    printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=%s\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n' $3 > $1.ext
    openssl x509 -req -in $1.csr -CA cacert.pem -CAkey cakey.pem -CAcreateserial -days 30 -extfile $1.ext -out $1cert.pem
}
sign server "/C=DE/O=Tests/CN=localhost" serverAuth
sign client "/C=DE/O=Tests/CN=client" clientAuth
mkdir -p "$1/nobody"
cp cacert.pem "$1/nobody/"
"#;

/// Makes `pki/` below `root`, and `nobody/` with the authority alone.
///
/// # Errors
/// `openssl` is missing or failed.
pub fn make(root: &Path) -> Result<()> {
    Run::new(["sh", "-ec", MAKE, "sh"]).args([root]).output()?.ok().map(drop)
}

/// `config` and the settings that name the certificates below the daemon's root; `ROOT` stands for it.
pub fn config(config: &str) -> String {
    format!(
        "{config}ca_file = \"ROOT/pki/cacert.pem\"\ncert_file = \"ROOT/pki/servercert.pem\"\n\
         key_file = \"ROOT/pki/serverkey.pem\"\n"
    )
}
