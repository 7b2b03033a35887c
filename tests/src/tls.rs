//! TLS in front of a server that speaks HTTP, with a certificate that may be wrong.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// The fault of a server's certificate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Certificate {
    /// Nothing.
    Good,
    /// It ended half an hour ago: also what a client sees whose clock is an hour ahead.
    Ended,
    /// It begins in half an hour: also what a client sees whose clock is an hour behind.
    NotYet,
    /// It is another host's.
    OfAnotherHost,
    /// It is from an authority that nobody trusts.
    OfAnotherAuthority,
}

/// A running end of TLS; ends when dropped.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    authority: String,
    task: JoinHandle<()>,
}

impl TlsFront {
    /// In front of `server`, at loopback.
    pub async fn start(server: SocketAddr, certificate: Certificate) -> Result<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), server, certificate).await
    }

    /// The same at another address.
    pub async fn start_at(
        ip: IpAddr,
        server: SocketAddr,
        certificate: Certificate,
    ) -> Result<Self> {
        let authority = authority("Planescape tests")?;
        let config = Arc::new(config(&authority, ip, certificate)?);
        let listener = TcpListener::bind((ip, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, TlsAcceptor::from(config), server));
        Ok(Self {
            address,
            authority: authority.pem(),
            task,
        })
    }

    /// `VAULT_ADDR`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The certificate of the authority to trust, as PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, server: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { return };
                let acceptor = acceptor.clone();
                // A client that goes away, or does not trust it, is part of the game.
                connections.spawn(async move { pass(client, &acceptor, server).await.ok() });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn pass(client: TcpStream, acceptor: &TlsAcceptor, server: SocketAddr) -> Result<()> {
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(server).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = named(name);
    params.not_before = date_time_ymd(2020, 1, 1);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn config(
    authority: &CertifiedIssuer<'static, KeyPair>,
    ip: IpAddr,
    certificate: Certificate,
) -> Result<ServerConfig> {
    let now = OffsetDateTime::now_utc();
    let half_an_hour = Duration::minutes(30);
    let hour = half_an_hour * 2;
    let (from, until) = match certificate {
        Certificate::Ended => (now - hour, now - half_an_hour),
        Certificate::NotYet => (now + half_an_hour, now + hour),
        Certificate::Good | Certificate::OfAnotherHost | Certificate::OfAnotherAuthority => {
            (now - half_an_hour, now + half_an_hour)
        }
    };
    let host = if certificate == Certificate::OfAnotherHost {
        "elsewhere.example".to_owned()
    } else {
        ip.to_string()
    };
    let mut params = CertificateParams::new(vec![host])?;
    (params.not_before, params.not_after) = (from, until);
    params.distinguished_name = named("vault");
    let key = KeyPair::generate()?;
    let others = self::authority("Others")?;
    let issuer = if certificate == Certificate::OfAnotherAuthority {
        &others
    } else {
        authority
    };
    let signed = params.signed_by(&key, issuer)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![signed.der().clone()], key)?;
    Ok(config)
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(rcgen::DnType::CommonName, name);
    names
}

/// A certificate for loopback that is its own authority, and its key, as PEM.
pub fn own_certificate() -> Result<(String, String)> {
    let made = rcgen::generate_simple_self_signed(vec![Ipv4Addr::LOCALHOST.to_string()])?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}
