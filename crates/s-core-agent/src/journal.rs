//! What an agent logs of its node's reports: what an operator wants to know, and at which level.

use s_core_proto::{Report, WhySkipped};

use crate::clock::Throttle;

/// Logs a report; of those that may come often, at most one in the throttle's span.
pub(crate) fn log(report: &Report, often: &mut Throttle) {
    match report {
        Report::SentAgain { server, mark } => {
            tracing::info!(%server, %mark, "the token is not acknowledged; it is sent again");
        }
        Report::InDoubt { server, mark } => {
            tracing::warn!(%server, %mark, "in doubt: the server that has the token gives no sign of life; it is asked");
        }
        Report::Recovered { from, mark } => {
            tracing::warn!(server = %from, %mark, "recovered: the token was lost with this server and goes on from the copy kept here");
        }
        Report::Claiming { mark } => {
            tracing::warn!(%mark, "claiming: no token has been heard of for long; the others are asked whether to make one here");
        }
        Report::Parked { by } => {
            tracing::info!(%by, "parked: the claim to make a token is given up");
        }
        Report::Minted { mark, vms } => tracing::info!(%mark, vms, "a token was made"),
        Report::Superseded { mark, by } => {
            tracing::info!(%mark, %by, "the token that was here is not the current one and was dropped");
        }
        Report::OutcomeKnown { vm, target, moved } => {
            tracing::info!(%vm, %target, moved, "it is known now how the migration ended");
        }
        Report::Missing { vm, target } => {
            tracing::warn!(%vm, %target, "missing: after a migration of unknown outcome it runs neither here nor on its target; it has gone on from there, or it runs nowhere: \
                look with `xl list -v` on all hosts where its domain is, and whether it is suspended (`---ss-`)");
        }
        Report::Skipped { vm, why } => match why {
            WhySkipped::NotFound => tracing::info!(%vm, "nobody hosts this VM; it is passed over"),
            WhySkipped::NoAcknowledgement(server)
            | WhySkipped::Refused(server)
            | WhySkipped::Forgotten(server) => {
                tracing::warn!(%vm, %server, ?why, "its server does not take the token; it is passed over");
            }
        },
        Report::NobodyLeft { vm } => {
            tracing::info!(%vm, "the token ends here: no other server has a VM that it could go to");
        }
        Report::Unsuitable {
            vm,
            source,
            target,
            why,
        } if often.permits() => {
            tracing::warn!(%vm, %source, %target, %why, "not sent there");
        }
        Report::BadToken { from, why } if often.permits() => {
            tracing::warn!(%from, ?why, "a token cannot be used");
        }
        Report::TokenFull { vm } if often.permits() => {
            tracing::warn!(%vm, "gets no slot: the token is as large as token_limits allow");
        }
        Report::ImplausibleMark { from, mark } if often.permits() => {
            tracing::warn!(%from, %mark, "ignored: no token can have come that far; see what this server runs");
        }
        _ => tracing::debug!(?report, "node"),
    }
}
